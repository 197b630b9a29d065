"""Files to rows, as a stream: csv, tsv, jsonl and parquet, with errors that name line, row and setting."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from data_checks.cells import as_label, as_label_set, as_text
from data_checks.config import DataConfig
from data_checks.documents import read_documents
from data_checks.problems import ParseError, Problems
from data_checks.rows import Row
from data_checks.text_files import (
    MAX_EXPANSION,
    MAX_FIELD_CHARS,
    UnfitText,
    open_text,
    report_bad_bytes,
)
from records.data import Split
from records.dialogue import split_answer

Format = Literal["csv", "tsv", "jsonl", "parquet", "text"]
ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".txt": "text",
}  # fmt: skip
"""Known endings; all but .parquet also with .gz behind."""
MIN_SUSPECT = 1_000_000
"""Rows, or unpacked bytes of a column, below which a parquet file can do no harm."""
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_Raw = tuple[int, Sequence[object] | None]
"""Line on which a row begins (0: none), and its wanted values; None for a row that was reported."""


def read_rows(path: Path, config: DataConfig, *, name: str, split: Split | None) -> Iterator[Row]:
    """The rows of one file, in order; memory does not grow with the file.

    Good rows are yielded even where others are bad: the rows count only once the iterator has ended.

    Args:
        path: A local file; `.gz` is opened transparently.
        config: Columns, format, encoding, quoting, rename_labels.
        name: What `Row.file` and the errors call the file.
        split: Given split of all rows, or None.

    Raises:
        ParseError: unknown ending, wrong encoding, columns missing, rows that do not fit, values that are
            no text, no rows at all. Up to ten problems in one message.
        OSError: the file cannot be opened.
    """
    problems = Problems(name)
    num_rows = 0
    try:
        raws = _READERS[format_of(path, config)](path, config, problems)
        for row in _rows(raws, config, problems, name, split):
            num_rows += 1
            yield row
    except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
        problems.fail(f"the gzip stream is damaged ({exc}); copy the file again")
    except UnfitText as exc:
        problems.fail(str(exc))
    problems.close()
    if not num_rows:
        problems.fail(f"no rows in {path.stat().st_size} bytes; give a file with data")


def rows_of(
    values: Iterable[Mapping[str, object]], config: DataConfig, *, name: str, split: Split | None
) -> Iterator[Row]:
    """Rows from mappings that are no file's (a sample, a hub stream); otherwise as `read_rows`.

    Raises:
        ParseError: columns missing in the first mapping, values that are no text, no rows at all.
    """
    problems = Problems(name)
    wanted, num_rows = wanted_columns(config), 0
    raws = _mapped(values, wanted, problems)
    for row in _rows(raws, config, problems, name, split):
        num_rows += 1
        yield row
    problems.close()
    if not num_rows:
        problems.fail("no rows; name other data")


def _mapped(
    values: Iterable[Mapping[str, object]], wanted: Sequence[str], problems: Problems
) -> Iterator[_Raw]:
    for number, value in enumerate(values):
        if number == 0:
            for column in wanted:
                _position(tuple(value), column, problems)
            problems.close()
        yield 0, [value.get(column) for column in wanted]


def _rows(
    raws: Iterable[_Raw], config: DataConfig, problems: Problems, name: str, split: Split | None
) -> Iterator[Row]:
    """Rows of the values that are texts; the others are reported and skipped."""
    columns = wanted_columns(config)
    for number, (line, values) in enumerate(raws, start=1):
        where = f"line {line}, row {number}" if line else f"row {number}"
        if values and config.messages:
            values = _answered(values, where, problems)
            columns = ("text", "label", *config.attributes)
        if values and config.label_separator and config.label:
            values = _with_label_set(values, config, where, problems)
        texts = _texts(values, columns, where, problems, config.label) if values else None
        if texts is None:
            continue
        has_label = config.label or config.messages
        text, label, *attributes = texts if has_label else (texts[0], None, *texts[1:])
        yield Row(
            text=text,
            label=label if config.label_separator else as_label(label, config.rename_labels),
            split=split,
            file=name,
            row=number,
            line=line,
            attributes=tuple(
                (column, text or None)
                for column, text in zip(config.attributes, attributes, strict=True)
            ),
        )


def _answered(values: Sequence[object], where: str, problems: Problems) -> Sequence[object] | None:
    """Turns and last answer in the place of messages; None where the dialogue was reported."""
    turns, answer, flaw = split_answer(values[0])
    if flaw:
        problems.add(f"{where}: {flaw}")
        return None
    return [turns, answer, *values[1:]]


def _with_label_set(
    values: Sequence[object], config: DataConfig, where: str, problems: Problems
) -> Sequence[object] | None:
    """The label as a set in its one form; None where it was reported."""
    text, label, *attributes = values
    found, flaw = as_label_set(label, config.label_separator or "", config.rename_labels)
    if flaw:
        problems.add(f"{where}, column {config.label!r}: {flaw}")
        return None
    return [text, found, *attributes]


def format_of(path: Path, config: DataConfig) -> Format:
    """`data.format`, or what the ending says. Raises ParseError for an unknown ending."""
    if config.format != "auto":
        return config.format
    ending = path.suffixes[-2:][0] if path.suffix == ".gz" else path.suffix
    if ending.lower() not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise ParseError(
            f"{path.name}: the ending {ending!r} is none of {known}; set data.format "
            f"(csv, tsv, jsonl, parquet or text)"
        )
    return ENDINGS[ending.lower()]


def wanted_columns(config: DataConfig) -> tuple[str, ...]:
    """Text, label (where there is one) and attributes, in the order of a row's values."""
    if config.messages:
        return (config.messages, *config.attributes)
    return (config.text, *((config.label,) if config.label else ()), *config.attributes)


def _read_delimited(path: Path, config: DataConfig, problems: Problems) -> Iterator[_Raw]:
    """Rows of csv and tsv files, with the wanted fields in order."""
    kind = format_of(path, config)
    delimiter = config.delimiter or _DELIMITERS[kind]
    is_quoted = config.quoting == "standard" or (
        config.quoting == "auto" and kind == "csv" and delimiter != " "
    )
    records = (_quoted if is_quoted else _unquoted)(path, config, delimiter, problems)
    columns = config.columns or tuple(next(records, (1, []))[1])
    if not columns:
        return
    wanted = [_position(columns, column, problems) for column in wanted_columns(config)]
    problems.close()
    for line, fields in records:
        if config.columns and len(fields) > len(columns):
            fields[len(columns) - 1 :] = [delimiter.join(fields[len(columns) - 1 :])]
        if len(fields) == len(columns):
            yield line, [fields[position] for position in wanted]
        else:
            problems.add(
                f"line {line}: {len(fields)} fields instead of {len(columns)} "
                f"({', '.join(columns)}); is {delimiter!r} the delimiter, and "
                f"{'standard' if is_quoted else 'none'} the quoting (data.delimiter, data.quoting)?"
            )
            yield line, None


def _quoted(
    path: Path, config: DataConfig, delimiter: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Records with quotes, which may hold newlines; blank lines are skipped."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    with open_text(path, config.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        begin = 1
        try:
            for fields in reader:
                if fields:
                    yield begin, fields
                begin = reader.line_num + 1
        except UnicodeDecodeError:
            report_bad_bytes(path, config.encoding, problems)
        except csv.Error as exc:
            problems.fail(
                f"the row that begins on line {begin} is not csv ({exc}, line {reader.line_num}); "
                f"close the quote, or set data.quoting: none if quotes mean nothing in this file"
            )


def _unquoted(
    path: Path, config: DataConfig, delimiter: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Records of one line each, in which a quote is a character; blank lines are skipped."""
    num_splits = len(config.columns) - 1 if config.columns else -1
    with open_text(path, config.encoding, newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                if content := line.rstrip("\r\n"):
                    yield number, content.split(delimiter, num_splits) if num_splits else [content]
        except UnicodeDecodeError:
            report_bad_bytes(path, config.encoding, problems)


def _read_jsonl(path: Path, config: DataConfig, problems: Problems) -> Iterator[_Raw]:
    """One JSON object a line; a key that is absent from some rows only is null there."""
    wanted, seen = wanted_columns(config), dict[str, None]()
    with open_text(path, config.encoding, newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.isspace():
                    continue
                row = _json_object(line, number, problems)
                seen.update(dict.fromkeys(row or ()))
                yield number, None if row is None else [row.get(column) for column in wanted]
        except UnicodeDecodeError:
            report_bad_bytes(path, config.encoding, problems)
    for column in wanted if seen else ():
        _position(tuple(seen), column, problems)


def _json_object(line: str, number: int, problems: Problems) -> dict[str, object] | None:
    """The object of one line; anything else is reported."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        problems.add(f"line {number}: not JSON ({exc}); write one complete object a line")
        return None
    if not isinstance(value, dict):
        problems.add(f"line {number}: a {type(value).__name__}, not an object {{...}} a line")
        return None
    return value


def _read_parquet(path: Path, config: DataConfig, problems: Problems) -> Iterator[_Raw]:
    """The wanted columns, a thousand rows at a time; as many as the file says that it has."""
    import pyarrow.parquet

    with (
        path.open("rb") as raw,
        parquet_damage(problems),
        pyarrow.parquet.ParquetFile(raw) as file,
    ):
        for column in wanted_columns(config):
            _position(tuple(file.schema_arrow.names), column, problems)
        problems.close()
        wanted = list(dict.fromkeys(wanted_columns(config)))
        _check_claims(file.metadata, path.stat().st_size, set(wanted), problems)
        num_rows = 0
        for batch in file.iter_batches(1000, columns=wanted):
            columns = [batch.column(column).to_pylist() for column in wanted_columns(config)]
            yield from ((0, values) for values in zip(*columns, strict=True))
            num_rows += len(batch)
        if num_rows != file.metadata.num_rows:
            problems.fail(
                f"it says {file.metadata.num_rows:,} rows and holds {num_rows:,}; write it again"
            )


def _check_claims(metadata: Any, num_bytes: int, wanted: set[str], problems: Problems) -> None:
    """What a parquet file says of itself must agree, and be possible for texts that differ."""
    if metadata.num_rows > max(MIN_SUSPECT, num_bytes):
        problems.fail(
            f"it says {metadata.num_rows:,} rows in {num_bytes:,} bytes; these are no texts"
        )
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if metadata.num_rows != sum(group.num_rows for group in groups):
        problems.fail("its row groups do not add up to its rows; write it again")
    for group in groups:
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema not in wanted:
                continue
            if column.num_values != group.num_rows:
                problems.fail(
                    f"column {column.path_in_schema!r} says {column.num_values:,} values for "
                    f"{group.num_rows:,} rows; write it again"
                )
            most = max(MIN_SUSPECT, MAX_EXPANSION * column.total_compressed_size)
            if column.total_uncompressed_size > most:
                problems.fail(
                    f"column {column.path_in_schema!r} unpacks to {column.total_uncompressed_size:,} "
                    f"bytes, over {MAX_EXPANSION} times as much; write it again without repetitions"
                )


@contextmanager
def parquet_damage(problems: Problems) -> Iterator[None]:
    """A file that is no Parquet, or whose pages are damaged, is a problem of the file."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise  # the disk's; damaged pages have no number
        problems.fail(f"not readable as Parquet ({exc}); write it again, or set data.format")


_READERS = {
    "csv": _read_delimited,
    "tsv": _read_delimited,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "text": read_documents,
}


def _position(columns: Sequence[str], column: str, problems: Problems) -> int:
    """Where the column is; reports one that is missing or there twice."""
    if columns.count(column) == 1:
        return columns.index(column)
    if column in columns:
        problems.add(f"column {column!r} is there {columns.count(column)} times; rename one")
        return 0
    close = get_close_matches(column, columns, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    problems.add(
        f"column {column!r} is missing; there are: {', '.join(map(repr, columns[:30]))}.{guess} Set data.text, "
        f"data.label or data.attributes, or name the columns of a file without a header in data.columns"
    )
    return 0


def _texts(
    values: Sequence[object], columns: Sequence[str], where: str, problems: Problems, label: str
) -> list[str | None] | None:
    """The values as strings; None where one was reported."""
    texts: list[str | None] = []
    for value, column in zip(values, columns, strict=True):
        text, flaw = as_text(value)
        if column == label and isinstance(value, list):
            flaw = "a list instead of a text; several labels of one text need task: multilabel"
        if flaw:
            problems.add(f"{where}, column {column!r}: {flaw}")
            return None
        texts.append(text)
    return texts
