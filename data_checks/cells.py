"""One cell of a data file as text, as a label, or as a set of labels."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal

from records.labels import write_labels


def as_text(value: object) -> tuple[str | None, str]:
    """A cell as text and what is wrong with it. Null and NaN are None; numbers are as str() writes them."""
    if isinstance(value, bool):
        return str(value).lower(), ""
    if value is None or (isinstance(value, (float, Decimal)) and math.isnan(value)):
        return None, ""
    if isinstance(value, (int, float, Decimal, date, time)):
        return str(value), ""
    if not isinstance(value, str):
        return None, f"a {type(value).__name__} instead of a text; flatten it before"
    if "\0" in value:
        return None, "a NUL character; remove it (if each second one is: set data.encoding: utf-16)"
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return None, "half of a surrogate pair, which no UTF-8 file can hold; remove it"
    return value, ""


def as_label(value: str | None, renamed: Mapping[str, str]) -> str | None:
    """The label's name, without white space around it: nobody could tell the two classes apart."""
    stripped = (value or "").strip()
    name = renamed.get(value or "", renamed.get(stripped, stripped)).strip()
    return name or None


def as_label_set(
    value: object, separator: str, renamed: Mapping[str, str]
) -> tuple[str | None, str]:
    """A cell as a set of labels in its one form (records/labels.py), and what is wrong with it.

    An empty cell is None: nobody knows whether none was meant, or nothing was written. The empty
    set is a list without entries, in a file of text `[]`.

    Args:
        value: a list of labels, one as JSON, or a text of labels with the separator between them.
        separator: `data.label_separator`.
        renamed: `data.rename_labels`; two values may become one label.
    """
    names, flaw = _names_in(value, separator)
    if flaw or names is None:
        return None, flaw
    stripped = [name.strip() for name in names]
    if "" in stripped:
        return None, (
            f"an empty label in {_short(value)}; take it out (the separator is {separator!r}, "
            "data.label_separator; a row without labels is written [])"
        )
    if twice := [name for name, count in Counter(stripped).items() if count > 1]:
        return None, f"label {twice[0]!r} stands twice in {_short(value)}; leave it in once"
    return write_labels(as_label(name, renamed) or name for name in names), ""


def _names_in(value: object, separator: str) -> tuple[Sequence[str] | None, str]:
    entries = list_in(value)
    if entries is None:
        text, flaw = as_text(value)
        if (text or "").lstrip().startswith(("['", '["')):
            flaw = f'{_short(text)} is no list in JSON; write ["a", "b"], or a{separator}b'
        return (text.split(separator) if text and text.strip() else None), flaw
    names = []
    for entry in entries:
        name, flaw = as_text(entry)
        if name is None:
            return None, f"in a list of labels {flaw or 'a null; take it out'}"
        names.append(name)
    return names, ""


def list_in(value: object) -> Sequence[object] | None:
    """The entries of a list, or of a text that is one in JSON; None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list | tuple) else None


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
