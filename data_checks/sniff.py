"""What a data file seems to be, and a first recipe for it."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from data_checks.columns import Roles, label_sets, text_roles
from data_checks.config import DataConfig
from data_checks.parse import ENDINGS, Format, parquet_damage, read_rows
from data_checks.problems import ParseError, Problems
from data_checks.text_files import find_encoding, open_bytes, open_text
from records.base import Record
from records.task import TASKS, Task, labels_in

HEAD_CHARS = 2**20
MAX_ROWS_READ = 200_000
"""Rows that are read to find labels and problems; of a longer file the number is estimated."""
MAX_LABELS_LISTED = 100
SEPARATOR = TASKS["multilabel"].columns["label_separator"]
_LABEL_NAMES = re.compile(r"labels?|class|category|target|sentiment|intent|y|is_\w+", re.I)
_TEXT_NAMES = re.compile(r"text|sentence|review|question|content|body|message|comment", re.I)


class Sniffed(Record):
    """A guess at how to read a file; `config(path)` is the recipe's `data` part."""

    task: Task = "classification"
    format: Format
    delimiter: str | None = None
    """None: the format's own."""
    quoting: Literal["auto", "standard", "none"] = "auto"
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    """Names made up for a file without a header."""
    text: str
    label: str
    """Empty for raw text."""
    messages: str | None = None
    label_separator: str | None = None
    """Between the labels of a row; None where it has one."""
    languages: tuple[str, str] | None = None
    """Of source and target."""
    attributes: tuple[str, ...] = ()
    """Other columns with few values."""
    num_by_label: dict[str, int] = {}
    """Label: rows among those read, most frequent first; empty where the answers are texts."""
    num_rows: int = 0
    is_estimate: bool = False
    p95_words: int = 0
    """95 % of the texts are not longer (words; a Chinese character counts as one)."""
    p95_answer_words: int = 0
    """The same of the answers, where they are texts."""
    warnings: tuple[str, ...] = ()

    def config(self, source: str) -> DataConfig:
        """How `read_rows` reads the file that `source` names."""
        same = (
            "format",
            "delimiter",
            "quoting",
            "encoding",
            "columns",
            "text",
            "label",
            "messages",
            "label_separator",
        )
        values = {name: getattr(self, name) for name in (*same, "attributes")}
        return DataConfig(source=source, **values)


class _Table(NamedTuple):
    """One way to cut the head of a file into cells."""

    format: Format
    names: tuple[str, ...]
    records: list[list[str]]
    has_header: bool = True
    delimiter: str | None = None
    quoting: Literal["auto", "standard", "none"] = "auto"


def sniff(path: Path) -> Sniffed:
    """Guess format, delimiter, quoting, encoding, header, text and label column, and the labels.

    Each guess is proved by reading the file (its first 200,000 rows); the first that reads wins.

    Raises:
        ParseError: a folder, an empty file, or no guess reads it; the message is the best guess's.
    """
    if path.is_dir():
        raise ParseError(f"{path}: is a folder; give one of its data files")
    encoding, warnings = find_encoding(path)
    if _is_prose(path, encoding):
        return _measured(path, _documents(encoding), warnings)
    first_error: ParseError | None = None
    for table in _tables(path, encoding):
        try:
            return _measured(path, _guess(table, encoding), warnings)
        except ParseError as exc:
            first_error = first_error or exc
    if _kind_of(path) == "text" and first_error is None:
        return _measured(path, _documents(encoding), warnings)
    raise first_error or ParseError(f"{path}: no table of two columns or more is found in it")


def _is_prose(path: Path, encoding: str) -> bool:
    """Whether it is a text file in paragraphs, which no table has."""
    if _kind_of(path) != "text":
        return False
    with open_text(path, encoding, newline=None) as text:
        return bool(re.search(r"\S.*\n[^\S\n]*\n.*\S", text.read(HEAD_CHARS)))


def _documents(encoding: str) -> Sniffed:
    return Sniffed(
        task="language_modeling", format="text", encoding=encoding, text="text", label=""
    )


def _tables(path: Path, encoding: str) -> Iterator[_Table]:
    """The ways to read the file, the likeliest first."""
    with open_bytes(path) as file:
        magic = file.read(4)
    kind = _kind_of(path)
    if magic == b"PAR1":
        yield _parquet_table(path)
        return
    with open_text(path, encoding, newline="") as text:
        head = text.read(HEAD_CHARS)
    if not head.strip():
        raise ParseError(f"{path}: has no rows; give a file with data")
    if kind == "jsonl" or head.lstrip().startswith("{"):
        yield _jsonl_table(head)
        return
    for delimiter in "\t,;|" if kind == "tsv" else ",\t;|":
        yield from _delimited_tables(head, delimiter)
    yield from _space_table(head)


def _kind_of(path: Path) -> Format | None:
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return ENDINGS.get(ending.lower())


def _parquet_table(path: Path) -> _Table:
    import pyarrow.parquet

    with parquet_damage(Problems(path.name)), pyarrow.parquet.ParquetFile(path) as file:
        batch = next(file.iter_batches(1000), None)
        names = tuple(file.schema_arrow.names)
    rows = batch.to_pylist() if batch else []
    return _Table("parquet", names, [[_cell(row[name]) for name in names] for row in rows])


def _jsonl_table(head: str) -> _Table:
    rows = []
    for line in head.splitlines()[:1000]:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line is cut; a broken one is found when all is read
        rows += [row] if isinstance(row, dict) else []
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return _Table("jsonl", names, [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def _delimited_tables(head: str, delimiter: str) -> Iterator[_Table]:
    """Tables with that delimiter, of two columns or more in nearly every row."""
    plain = [line.split(delimiter) for line in head.splitlines() if line][:2000]
    try:
        quoted = list(islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 2000))
    except csv.Error:
        quoted = []
    ways: list[tuple[Literal["standard", "none"], list[list[str]]]] = [("none", plain)]
    has_quotes = any(cell.startswith('"') for row in plain for cell in row)
    ways.insert(0 if has_quotes or delimiter != "\t" else 1, ("standard", quoted))
    for quoting, rows in ways:
        records = [row for row in (rows[:-1] if len(head) == HEAD_CHARS else rows) if row]
        width = Counter(map(len, records)).most_common(1)[0] if records else (0, 0)
        if width[0] >= 2 and width[1] >= 0.9 * len(records):
            yield _named_table([row for row in records if len(row) == width[0]], delimiter, quoting)


def _named_table(
    records: list[list[str]], delimiter: str, quoting: Literal["standard", "none"]
) -> _Table:
    kind: Format = "tsv" if delimiter == "\t" else "csv"
    is_default = quoting == ("none" if kind == "tsv" else "standard")
    has_header = _is_header(records)
    names = tuple(records[0] if has_header else [f"column{i + 1}" for i in range(len(records[0]))])
    return _Table(
        kind,
        names,
        records[1:] if has_header else records,
        has_header,
        delimiter if delimiter not in "\t," else None,
        "auto" if is_default else quoting,
    )


def _is_header(records: list[list[str]]) -> bool:
    """Whether the first row names columns: short, different, no number, and no value of its column."""
    first, rest = records[0], records[1:]
    below = [set(column) for column in zip(*rest, strict=True)] or [set()] * len(first)
    return len(set(first)) == len(first) and all(
        0 < len(cell) <= 40 and not re.fullmatch(r"[-+.\d]+", cell) and cell not in values
        for cell, values in zip(first, below, strict=True)
    ) and not any(len(cell.split()) > 4 for cell in first)  # fmt: skip


def _space_table(head: str) -> Iterator[_Table]:
    """A label, a space, and the text: `5 How far is it to Denver ?`."""
    lines = head.splitlines()[: -1 if len(head) == HEAD_CHARS else None]
    records = [line.split(" ", 1) for line in lines if line]
    num_labels = len({record[0] for record in records})
    if all(len(record) == 2 for record in records) and num_labels <= max(2, len(records) // 5):
        yield _Table("csv", ("label", "text"), records, has_header=False, delimiter=" ")


def _guess(table: _Table, encoding: str) -> Sniffed:
    """Which column is the text (the longest values) and which the label (few values)."""
    names, by_name = (
        table.names,
        dict(zip(table.names, zip(*table.records, strict=True), strict=True)),
    )
    roles = text_roles(by_name)
    if roles is not None:
        return _guess_texts(table, by_name, roles, encoding)
    if len(names) < 2 or not table.records:
        raise ParseError(
            f"{len(names)} columns and {len(table.records)} rows; a text and a label are needed"
        )
    sets = label_sets(by_name)
    text = max(
        (name for name in names if sets is None or name != sets[0]),
        key=lambda name: (bool(_TEXT_NAMES.fullmatch(name)), _mean_chars(by_name[name])),
    )
    others = sorted(
        (name for name in names if name != text),
        key=lambda name: (not _LABEL_NAMES.fullmatch(name), len(set(by_name[name]))),
    )
    if sets is not None:
        others = [sets[0], *(name for name in others if name != sets[0])]
    columns = () if table.has_header else names
    if columns and len(columns) == 2:
        columns = tuple("text" if name == text else "label" for name in columns)
        text, others = "text", ["label"]
    return Sniffed(
        format=table.format, delimiter=table.delimiter, quoting=table.quoting,
        encoding="utf-8" if table.format == "parquet" else encoding, columns=columns,
        task="classification" if sets is None else "multilabel", text=text, label=others[0],
        label_separator=None if sets is None else sets[1] or SEPARATOR,
        attributes=_few_values({name: by_name[name] for name in others[1:]}),
    )  # fmt: skip


def _guess_texts(
    table: _Table, by_name: Mapping[str, Sequence[str]], roles: Roles, encoding: str
) -> Sniffed:
    used = (roles.messages,) if roles.messages else (roles.text, roles.label)
    return Sniffed(
        task=roles.task, format=table.format, delimiter=table.delimiter, quoting=table.quoting,
        encoding="utf-8" if table.format == "parquet" else encoding, text=roles.text,
        label=roles.label, messages=roles.messages, languages=roles.languages,
        attributes=_few_values({n: c for n, c in by_name.items() if n not in used}),
    )  # fmt: skip


def _few_values(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Columns whose values come often enough to slice by."""
    return tuple(
        name for name, cells in columns.items()
        if 2 <= len(set(cells)) <= max(2, min(50, len(cells) // 5))
    )  # fmt: skip


def _mean_chars(values: Sequence[str]) -> float:
    return sum(map(len, values)) / len(values)


def _measured(path: Path, guess: Sniffed, warnings: tuple[str, ...]) -> Sniffed:
    """The guess, proved by reading rows, with what they hold."""
    labels: Counter[str] = Counter()
    lengths, answer_lengths = Counter[int](), Counter[int]()
    has_labels = TASKS[guess.task].has_labels
    num_rows = num_null = num_chars = 0
    for row in islice(
        read_rows(path, guess.config(str(path)), name=path.name, split=None), MAX_ROWS_READ
    ):
        num_rows += 1
        num_null += not row.text or (row.label is None and guess.label != "")
        labels.update(labels_in(guess.task, row.label) if row.label is not None else ())
        answer_lengths[0 if has_labels else num_words(row.label or "")] += 1
        lengths[num_words(row.text or "")] += 1
        num_chars += len(row.text or "") + len(row.label or "") + 2
    is_estimate = num_rows == MAX_ROWS_READ
    notes = [*warnings, *(_label_warnings(labels, num_rows) if has_labels else ())]
    if num_null:
        notes.append(f"{num_null} of {num_rows} rows have no text or no answer")
    estimate = max(num_rows, round(path.stat().st_size / num_chars * num_rows))
    return guess.model_copy(
        update={
            "num_by_label": dict(labels.most_common()),
            "num_rows": estimate if is_estimate else num_rows,
            "is_estimate": is_estimate,
            "p95_words": _percentile(lengths, 0.95),
            "p95_answer_words": _percentile(answer_lengths, 0.95),
            "warnings": tuple(notes),
        }
    )


def _label_warnings(labels: Counter[str], num_rows: int) -> Iterator[str]:
    if len(labels) < 2:
        yield f"only {len(labels)} label in {num_rows} rows; is that the label's column?"
    if len(labels) > num_rows / 5:
        yield f"{len(labels)} labels in {num_rows} rows; is that the label's column?"
    if rare := [label for label, num in labels.items() if num < 10]:
        yield f"{len(rare)} labels have under 10 rows, e.g. {rare[0]!r}"


def num_words(text: str) -> int:
    """Words, where each Chinese or Japanese character counts as one."""
    return len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+", text))


def _percentile(counts: Counter[int], share: float) -> int:
    left = share * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return 0
