"""Sets of labels as texts: one form, in which rows, items and answers carry them."""

import json
from collections.abc import Iterable


def write_labels(names: Iterable[str]) -> str:
    """JSON of the sorted names, each once: equal sets are equal texts."""
    return json.dumps(sorted(set(names)), ensure_ascii=False, separators=(",", ":"))


def read_labels(text: str) -> tuple[str, ...]:
    """The names in a set, sorted; a text that `write_labels` did not write is a name itself."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return (text,)
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list and write_labels(names) == text else (text,)


def is_label_set(text: str) -> bool:
    """Whether `write_labels` wrote it."""
    return write_labels(read_labels(text)) == text
