"""Batch answers: a file of rows in, a file with one answer for each row out, in their order.

The input is read twice: once to find every mistake, to count the rows and to name the work by its
content, then to answer. Answers go to parts of PART_ROWS rows, each of which appears whole; a
killed job goes on after its last part. The output is put together at the end and appears whole.
Memory holds one part, whatever the size of the input.
"""

import json
import logging
import os
import posixpath
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

from data_checks.config import DataConfig
from data_checks.parse import format_of, read_rows
from data_checks.rows import Row
from models.task_code import Predictor
from records.base import digest_of, file_sha256
from records.ledger import LedgerEntry
from tasks.lease import lease
from tasks.objects import split_s3
from tasks.place import Place
from tasks.store import open_store

log = logging.getLogger("refit")

PART_ROWS = 1000
BATCH_VERSION = 1
OUTPUTS = (".csv", ".jsonl", ".parquet")
Kind = Literal["int64", "double", "string", "labels", "numbers"]


class BatchError(ValueError):
    """A job that cannot be done as asked."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked."""

    source: str
    """A csv, tsv, jsonl or parquet file, or s3://bucket/key of one; .gz too, but parquet."""
    target: str
    """A csv, jsonl or parquet file, or s3://bucket/key of one."""
    column: str
    """Of the texts."""
    kept: tuple[str, ...] = ()
    """Columns to carry over."""


@dataclass(frozen=True)
class Counted:
    """How far a job is."""

    num_done: int
    num_rows: int
    num_found: int
    """Rows that an earlier, killed run had answered."""


def predict_file(
    place: Place,
    job: Job,
    entry: LedgerEntry,
    load: Callable[[], Predictor],
    on_progress: Callable[[Counted], None] = lambda counted: None,
) -> Counted:
    """Answer every row of the job's input once.

    Args:
        place: where S3 is, and the home in which parts are kept.
        job: input, output and columns.
        entry: the champion; another one starts the job anew.
        load: makes its predictor; not called where all parts are there.
        on_progress: called after each part.

    Raises:
        BatchError, ParseError, StoreError: the input or the output cannot be used; nothing is written.
        AlreadyRunning: another process does this very job.
    """
    check_job(job)
    with _fetched(place, job.source) as path:
        config = DataConfig(source=job.source, text=job.column, label="", attributes=job.kept)
        num_rows = sum(1 for _ in read_rows(path, config, name=job.source, split=None))
        key = digest_of(
            [BATCH_VERSION, file_sha256(path), entry.model_digest, job.target, job.column,
             list(job.kept), PART_ROWS]
        )[:32]  # fmt: skip
        folder = place.cache / "predict" / key
        folder.mkdir(parents=True, exist_ok=True)
        with lease(place.open(), f"predict/{key}"):
            rows = read_rows(path, config, name=job.source, split=None)
            counted = _answer(rows, num_rows, folder, load, on_progress)
            _write(place, job, folder, num_rows)
            shutil.rmtree(folder)
    return counted


def check_job(job: Job) -> None:
    """Raise BatchError, listing what is wrong, before anything is read."""
    problems = []
    if PurePosixPath(job.target).suffix not in OUTPUTS:
        problems.append(f"--output {job.target!r} ends with none of {', '.join(OUTPUTS)}")
    if _location(job.source) == _location(job.target):
        problems.append("--output is the input; give another name")
    taken = {"row", "label", "score", "labels", "scores", job.column} & set(job.kept)
    if taken or len(set(job.kept)) < len(job.kept):
        names = ", ".join(sorted(taken)) or "one twice"
        problems.append(f"--keep names {names}, which the output has anyway; leave it out")
    for option, uri in (("--input", job.source), ("--output", job.target)):
        is_s3 = uri.startswith("s3://")
        if is_s3 and not split_s3(uri)[1].strip("/"):
            problems.append(f"{option} {uri!r} names no object; write s3://bucket/key")
        if "://" in uri and not is_s3:
            problems.append(f"{option} {uri!r} is neither a file nor s3://bucket/key")
    if problems:
        raise BatchError("\n".join(problems))


def _location(uri: str) -> str:
    """Where it lies, however that is written: links followed, `.`, `..` and `//` taken out."""
    if uri.startswith("s3://"):
        return "s3:" + posixpath.normpath(uri.removeprefix("s3:/"))
    return os.path.realpath(uri)


@contextmanager
def _fetched(place: Place, uri: str) -> Iterator[Path]:
    """The input as a file of this machine."""
    if not uri.startswith("s3://"):
        if not Path(uri).is_file():
            raise BatchError(f"--input {uri} is no file; give one file, or s3://bucket/key")
        yield Path(uri)
        return
    bucket, key = split_s3(uri)
    with place.scratch() as scratch:
        path = scratch / PurePosixPath(key).name
        format_of(path, DataConfig(source=uri))  # before it is fetched
        open_store(f"s3://{bucket}", place.s3).download(key, path)
        yield path


def _answer(
    rows: Iterator[Row],
    num_rows: int,
    folder: Path,
    load: Callable[[], Predictor],
    on_progress: Callable[[Counted], None],
) -> Counted:
    """Make the parts that are not there yet."""
    predictor: Predictor | None = None
    num_done = num_found = 0
    for number in range(-(-num_rows // PART_ROWS)):
        part, path = list(islice(rows, PART_ROWS)), _part(folder, number)
        num_done += len(part)
        if path.exists():
            num_found += len(part)
            continue
        if predictor is None:
            predictor = load()
            if num_found:
                log.info("going on after %d rows that are answered already", num_found)
        _appear(path, _lines(part, num_done - len(part), predictor))
        on_progress(Counted(num_done, num_rows, num_found))
    return Counted(num_done, num_rows, num_found)


def _lines(part: Sequence[Row], first: int, predictor: Predictor) -> Iterator[str]:
    """One JSON object a row; a row without text has null answers."""
    texts = [row.text for row in part if row.text is not None]
    answers = iter(predictor.predict(texts) if texts else ())
    for number, row in enumerate(part, start=first + 1):
        answer: Mapping[str, object] = {"text": None} if row.text is None else next(answers)
        yield json.dumps({"row": number, **dict(row.attributes), **answer}, ensure_ascii=False)


def _appear(path: Path, lines: Iterator[str]) -> None:
    """Write a file that is there whole or not at all, whenever the machine stops."""
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:09d}.jsonl"


def _write(place: Place, job: Job, folder: Path, num_rows: int) -> None:
    """Put the parts together; the output appears whole."""
    parts = [_part(folder, number) for number in range(-(-num_rows // PART_ROWS))]
    kinds = _kinds(parts)
    ending = PurePosixPath(job.target).suffix
    if job.target.startswith("s3://"):
        bucket, key = split_s3(job.target)
        whole = folder / f"whole{ending}"
        _WRITERS[ending](parts, kinds, whole)
        open_store(f"s3://{bucket}", place.s3).upload(key, whole)
        return
    target = Path(job.target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = target.with_name(f".{target.name}.new")
        _WRITERS[ending](parts, kinds, whole)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(target)
    except OSError as exc:
        raise BatchError(
            f"--output {target}: {exc.strerror}; the answers are kept, run again"
        ) from exc


def _kinds(parts: Sequence[Path]) -> dict[str, Kind]:
    """Columns of the output: those of the first row that was answered, in its order."""
    first: dict[str, object] = {}
    for answer in _read(parts):
        first = first or answer
        if answer["text"] is not None:
            first = answer
            break
    return {name: _kind(name, value) for name, value in first.items()}


def _kind(name: str, value: object) -> Kind:
    """Of a column, by a value in it; an empty list says nothing of what it would hold."""
    if isinstance(value, list):
        return "numbers" if name == "scores" else "labels"
    kinds: dict[type, Kind] = {int: "int64", float: "double"}
    return kinds.get(type(value), "string")


def _read(parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for part in parts:
        with part.open(encoding="utf-8") as lines:
            for line in lines:
                yield cast(dict[str, Any], json.loads(line))


def _write_jsonl(parts: Sequence[Path], kinds: Mapping[str, Kind], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for answer in _read(parts):
            whole = {name: answer.get(name) for name in kinds}
            file.write(f"{json.dumps(whole, ensure_ascii=False)}\n")


def _write_csv(parts: Sequence[Path], kinds: Mapping[str, Kind], path: Path) -> None:
    import csv

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(kinds))
        writer.writeheader()
        for answer in _read(parts):  # a list as JSON, which `data.label` reads again
            cells = answer.items()
            texts = {
                name: json.dumps(v, ensure_ascii=False) for name, v in cells if type(v) is list
            }
            writer.writerow({**answer, **texts})


def _write_parquet(parts: Sequence[Path], kinds: Mapping[str, Kind], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lists = {"labels": pa.list_(pa.string()), "numbers": pa.list_(pa.float64())}
    schema = pa.schema([(name, lists.get(kind, kind)) for name, kind in kinds.items()])
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            writer.write_table(pa.Table.from_pylist(list(_read([part])), schema=schema))


_WRITERS: dict[str, Callable[[Sequence[Path], Mapping[str, Kind], Path], None]] = {
    ".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet,
}  # fmt: skip
