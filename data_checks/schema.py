"""The snapshot as a frame: its columns, their types, and what is measured of each row."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_checks.config import DataConfig, SplitConfig
from data_checks.kinds import RowKind
from data_checks.labelled import Labelled
from data_checks.rows import ATTRIBUTE
from records.personal import mask
from records.text import group_of

TYPES = {
    "text": "str", "label": "str", "split": "str", "file": "str", "row": "int64", "line": "int64",
}  # fmt: skip
"""Column of a snapshot's Parquet file: its dtype in pandas."""
SHOWN_CHARS = 80


def read_snapshot(parquet: Path) -> pd.DataFrame:
    """The snapshot's rows, indexed 0..n-1 in its order.

    Raises:
        pyarrow.ArrowInvalid: `parquet` is not a Parquet file.
    """
    table = pq.ParquetFile(parquet).read()
    # A column without a single value has no type; it is text without text, not another type.
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas()
    return frame


def column_types(data: DataConfig, split: SplitConfig) -> dict[str, str]:
    """Every column that the recipe needs, with its dtype; attributes are strings."""
    named = [*data.attributes, split.group_by, split.time]
    return TYPES | {ATTRIBUTE + name: "str" for name in named if name}


def measure(rows: pd.DataFrame, split: SplitConfig, kind: RowKind | None = None) -> pd.DataFrame:
    """The rows with blank texts and labels made null, and the measures that the checks read.

    Args:
        rows: a snapshot (`read_snapshot`), whose columns may be missing or of another type.
        split: names the time attribute.
        kind: the task's rows, which add measures of their own; None: labelled ones.

    Returns:
        A new frame with, as far as their column exists as text:
        text_key (`group_of` the key, which is the text unless `kind` says otherwise), num_chars
        (stripped), num_earlier_copies (rows above with the same normalised key), can_judge (false
        for a row of a given test that lacks what `kind.names` names), time (UTC, NaT if unparsable).
    """
    kind = kind or Labelled()
    frame = rows.copy(deep=False)
    for column in ("text", "label"):
        if is_text(rows, column):
            frame[column] = _without_blanks(frame[column])
    kind.measure(frame)
    if is_text(rows, "text"):
        _measure_text(frame)
    if {*kind.names, "split"} <= set(frame):
        has_all = frame[list(kind.names)].notna().all(axis=1)
        frame["can_judge"] = has_all | (frame["split"] != "test")
    if split.time and is_text(rows, ATTRIBUTE + split.time):
        times = rows[ATTRIBUTE + split.time]
        frame["time"] = pd.to_datetime(times, format="ISO8601", utc=True, errors="coerce")
    return frame


def _measure_text(frame: pd.DataFrame) -> None:
    texts = [text if isinstance(text, str) else None for text in frame["text"]]
    own = frame.get("key", texts)
    keys = [group_of(key) if isinstance(key, str) else None for key in own]
    frame["text_key"] = pd.Series(keys, frame.index, dtype="str")
    num_chars = [None if text is None else len(text.strip()) for text in texts]
    frame["num_chars"] = pd.Series(num_chars, frame.index, dtype="float64")
    copies = frame.groupby("text_key", dropna=True).cumcount()
    frame["num_earlier_copies"] = copies.where(frame["text_key"].notna())


def _without_blanks(values: "pd.Series[str]") -> "pd.Series[str]":
    filled = [isinstance(value, str) and bool(value.strip()) for value in values]
    return values.where(pd.Series(filled, values.index, dtype="bool"))


def is_text(frame: pd.DataFrame, column: str) -> bool:
    """Whether the frame has this column, as strings."""
    return column in frame and str(frame[column].dtype) == "str"


def shown(value: object) -> str:
    """A value for a terminal: at most 80 characters, control characters escaped, personal data masked."""
    if not isinstance(value, str):
        return "(none)" if value is None or value != value else str(value)
    value = mask(value)  # before it is cut: half an address would not be found
    start = value[:SHOWN_CHARS]
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in start)
    return escaped if len(value) <= SHOWN_CHARS else f"{escaped}… ({len(value):,} characters)"
