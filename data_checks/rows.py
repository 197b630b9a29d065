"""The row: what every source yields and every check reads."""

from typing import NamedTuple

from records.data import Split

ROW_COLUMNS = ("text", "label", "split", "file", "row", "line")
"""Columns of a snapshot's Parquet file; attributes follow as `attribute.<name>`. All strings but row, line."""

ATTRIBUTE = "attribute."


class Row(NamedTuple):
    """One ingested row. `label` and attributes are strings; None where the file has no value."""

    text: str | None
    label: str | None
    split: Split | None
    file: str
    row: int
    line: int
    attributes: tuple[tuple[str, str | None], ...] = ()
