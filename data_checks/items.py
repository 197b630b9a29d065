"""Test rows as items that are judged, and the slice columns that are derived from them."""

from collections.abc import Callable, Sequence

import pandas as pd

from data_checks.rows import ATTRIBUTE
from records.base import sha256
from records.dialogue import turns_of
from records.personal import mask
from records.task import TASKS, Task
from records.text import group_of

LENGTH_BOUNDS = (20, 60, 200)
"""Characters; the slice column `length` where the data brings none of its own."""
RATIO_BOUNDS = (0.75, 1.33)
"""Of target to source, over the median of the test split."""


def as_items(rows: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row per judged item, in the order in which they first appear.

    Where texts are to be written, rows of one text are one item: `references` holds the right
    answers of all of them, and `label` is empty. Labelled rows stay as they are.
    """
    if TASKS[task].has_labels:
        return rows
    keys = pd.Series([group_of(text) for text in rows["text"]], rows.index, dtype="str")
    groups = rows.groupby(keys, sort=False)
    items = groups.head(1).set_index(keys[groups.head(1).index].to_numpy())
    items["references"] = groups["label"].agg(_distinct)
    items["item_id"] = groups["item_id"].agg(_one_id)
    items["label"] = ""
    return items.reset_index(drop=True)


def _distinct(labels: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(label for label in labels if isinstance(label, str)))


def _one_id(ids: Sequence[str]) -> str:
    """The row's own id, or one over all of its rows: another reference is another item."""
    return str(next(iter(ids))) if len(ids) == 1 else sha256("".join(sorted(ids)).encode())[:16]


def slice_column(items: pd.DataFrame, name: str) -> tuple[str, ...]:
    """The value of a slice column for each item; personal data, which would name a person in the
    decision, is one value: its kind.

    Raises:
        ValueError: it is neither an attribute nor derived.
    """
    if f"{ATTRIBUTE}{name}" in items:
        return tuple(map(mask, items[f"{ATTRIBUTE}{name}"].fillna("(none)")))
    if name not in _DERIVED:
        raise ValueError(f"gate.slices.columns: {name!r} is no attribute of the rows")
    return tuple(_DERIVED[name](items))


def _lengths(items: pd.DataFrame) -> list[str]:
    return [_length_bucket(len(text)) for text in items["text"]]


def _length_bucket(num_chars: int) -> str:
    low = 0
    for bound in LENGTH_BOUNDS:
        if num_chars <= bound:
            return f"{low}-{bound} characters"
        low = bound + 1
    return f"over {LENGTH_BOUNDS[-1]} characters"


def _turns(items: pd.DataFrame) -> list[str]:
    """How many turns come before the answer."""
    return [f"{len(turns_of(text))} before" for text in items["text"]]


def _length_ratios(items: pd.DataFrame) -> list[str]:
    """Whether the reference is unusually short or long for its source."""
    pairs = zip(items["text"], items["references"], strict=True)
    ratios = pd.Series([len(found[0]) / max(1, len(text)) for text, found in pairs])
    usual = ratios / ratios.median()
    low, high = RATIO_BOUNDS
    return ["short" if r < low else "long" if r > high else "usual" for r in usual]


def _copied(items: pd.DataFrame) -> list[str]:
    """How much of the source's words stands in the reference: names, numbers, loan words."""
    return [
        _share_bucket(text, found[0])
        for text, found in zip(items["text"], items["references"], strict=True)
    ]


def _share_bucket(source: str, reference: str) -> str:
    words = [word.strip(".,;:!?").casefold() for word in source.split()]
    kept = {word.strip(".,;:!?").casefold() for word in reference.split()}
    share = sum(word in kept for word in words) / max(1, len(words))
    return "nothing" if share == 0 else "some words" if share < 0.5 else "half or more"


_DERIVED: dict[str, Callable[[pd.DataFrame], list[str]]] = {
    "length": _lengths, "length_ratio": _length_ratios, "copied": _copied, "turns": _turns,
}  # fmt: skip
