"""Ingest: source URIs to one immutable, content-addressed snapshot."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_checks.config import DataConfig
from data_checks.rows import Row
from records.base import canonical_json
from records.data import SnapshotRef, SourceFile
from records.task import DEFAULT_TASK, Task
from tasks.kept import kept_task, was_found
from tasks.payload import has_folder, put_first
from tasks.place import Place
from tasks.sources import open_sources

log = logging.getLogger("refit")

BATCH_ROWS = 20_000
SNAPSHOT_FILE = "rows.parquet"


@kept_task(name="ingest", run_name="read the rows")
def ingest(place: Place, data: DataConfig, task_name: Task = DEFAULT_TASK) -> SnapshotRef:
    """Stream every source into one Parquet file and store it under its content's digest.

    Raises:
        ParseError, SourceError: a source is unreadable, empty, or lacks a column.
        StoreError: the store refuses.
    """
    store = place.open()
    with place.scratch() as scratch:
        folder = scratch / "snapshot"
        folder.mkdir()
        digest = hashlib.sha256()
        sources = open_sources(data, cache=scratch, s3=place.s3)
        rows = (row for source in sources for row in source.rows())
        num_rows = write_rows(rows, data.attributes, folder / SNAPSHOT_FILE, digest)
        files = tuple(
            SourceFile(uri=s.uri, split=s.split, num_rows=s.num_rows, sha256=s.sha256)
            for s in sources
        )
        ref = SnapshotRef(
            snapshot_digest=digest.hexdigest(),
            num_rows=num_rows,
            files=files,
            columns=("text", "label", *data.attributes),
            task=task_name,
            language=data.target_language,
            source_language=data.source_language,
        )
        prefix = snapshot_key(ref)
        if has_folder(store, prefix):
            was_found(f"these rows are stored already: snapshot {ref.snapshot_digest[:8]}")
        else:
            put_first(store, prefix, folder, {"snapshot": ref.model_dump(mode="json")})
    log.info("snapshot %s: %d rows from %d files", ref.snapshot_digest[:8], num_rows, len(files))
    return ref


def snapshot_key(ref: SnapshotRef) -> str:
    """Folder of a snapshot in the store."""
    return f"snapshots/{ref.snapshot_digest}"


def write_rows(
    rows: Iterable[Row], attributes: tuple[str, ...], path: Path, digest: "hashlib._Hash"
) -> int:
    """Write rows to Parquet in batches, feeding their canonical form to `digest`.

    The digest covers text, label, given split and attributes in order; where a row lay does not
    count, so that a moved file is the same snapshot.

    Returns:
        The number of rows.
    """
    schema = _schema(attributes)
    num_rows = 0
    stream = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(stream, BATCH_ROWS)):
            for row in batch:
                digest.update(_canonical(row) + b"\n")
            writer.write_table(pa.Table.from_pylist(list(_columns(batch)), schema=schema))
            num_rows += len(batch)
    return num_rows


def _canonical(row: Row) -> bytes:
    return canonical_json([row.text, row.label, row.split, dict(row.attributes)])


def _columns(batch: Iterable[Row]) -> Iterator[dict[str, object]]:
    for row in batch:
        named = {f"attribute.{name}": value for name, value in row.attributes}
        yield {**row._asdict(), **named}


def _schema(attributes: tuple[str, ...]) -> pa.Schema:
    text = [("text", pa.string()), ("label", pa.string()), ("split", pa.string())]
    place = [("file", pa.string()), ("row", pa.int64()), ("line", pa.int64())]
    extra = [(f"attribute.{name}", pa.string()) for name in attributes]
    return pa.schema([*text, *place, *extra])
