"""Check and split: a snapshot to kept rows, a quarantine and three splits, all in the store."""

import logging
from collections import Counter
from pathlib import Path

import pandas as pd

from data_checks.checks import CheckOutcome, check_snapshot
from data_checks.config import DATA_VERSION, ChecksConfig, DataConfig, SplitConfig
from records.base import digest_of, file_sha256
from records.data import SPLITS, DataRef, SnapshotRef, Split, SplitRef, is_default_task
from records.task import labels_in
from records.text import NORMALISE_VERSION
from tasks.ingest import SNAPSHOT_FILE, snapshot_key
from tasks.kept import kept_task, was_found
from tasks.objects import Store
from tasks.payload import has_folder, open_folder, put_first, read_manifest
from tasks.place import Place

log = logging.getLogger("refit")


@kept_task(name="check", run_name="check and split the rows")
def check(
    place: Place,
    snapshot: SnapshotRef,
    data: DataConfig,
    checks: ChecksConfig,
    split: SplitConfig,
) -> DataRef:
    """Check a snapshot and store its splits and quarantine; done once per data key.

    Returns:
        The data, passed or not: `report.passed` tells. Splits are empty where it failed.
    """
    store = place.open()
    key = data_key(snapshot, data, checks, split)
    prefix = f"data/{key}"
    if has_folder(store, prefix):
        was_found(f"these rows were checked and split before: data {key[:8]}")
        return stored_data(store, key)
    folder = open_folder(store, snapshot_key(snapshot), place.cache)
    with place.scratch() as scratch:
        out = scratch / "data"
        out.mkdir()
        outcome = check_snapshot(
            folder / SNAPSHOT_FILE,
            snapshot_digest=snapshot.snapshot_digest,
            data=data,
            checks=checks,
            split=split,
            docs_dir=out / "data_docs",
            task=snapshot.task,
        )
        ref = _write(outcome, out, snapshot, key)
        put_first(store, prefix, out, {"data": ref.model_dump(mode="json")})
    return stored_data(store, key)  # ours, or that of a run that ended first


def stored_data(store: Store, key: str) -> DataRef:
    """The data of a data key, as it was checked and split; raises MissingObject where it is gone."""
    return DataRef.model_validate(read_manifest(store, f"data/{key}")["data"])


def data_key(
    snapshot: SnapshotRef, data: DataConfig, checks: ChecksConfig, split: SplitConfig
) -> str:
    """Digest of what decides which rows are kept, where they go, and which checks they pass."""
    spoken = [snapshot.task, data.source_language, data.target_language]
    renamed = sorted(set(data.rename_labels.values()))  # the allowed labels, where no others are
    return digest_of(
        [
            snapshot.snapshot_digest,
            sorted(data.attributes),
            checks.model_dump(mode="json"),
            split.model_dump(mode="json"),
            DATA_VERSION,
            NORMALISE_VERSION,
            *([] if is_default_task(snapshot.task) else spoken),
            *([{"renamed_labels": renamed}] if renamed else []),
        ]
    )


def read_examples(store: Store, ref: DataRef, cache: Path) -> pd.DataFrame:
    """Up to ten rows of each failed check, as they may be shown in a terminal."""
    folder = open_folder(store, f"data/{ref.data_key}", cache)
    return pd.read_parquet(folder / "examples.parquet")


def read_split(store: Store, ref: SplitRef, cache: Path) -> pd.DataFrame:
    """The rows of a split; text, label, group, item_id, attribute.*."""
    return pd.read_parquet(open_folder(store, ref.key, cache) / f"{ref.split}.parquet")


def _write(outcome: CheckOutcome, out: Path, snapshot: SnapshotRef, key: str) -> DataRef:
    outcome.quarantine.to_parquet(out / "quarantine.parquet", index=False)
    outcome.examples.to_parquet(out / "examples.parquet", index=False)
    (out / "report.json").write_bytes(outcome.report.to_json())
    splits = tuple(_write_split(outcome.kept, name, out, key, snapshot) for name in SPLITS)
    return DataRef(
        snapshot=snapshot,
        report=outcome.report,
        data_key=key,
        splits=splits,
        labels=tuple(sorted(_count_labels(outcome.kept, snapshot))),
    )


def _write_split(
    kept: pd.DataFrame, name: Split, out: Path, key: str, snapshot: SnapshotRef
) -> SplitRef:
    rows = kept[kept["split"] == name]
    path = out / f"{name}.parquet"
    rows.to_parquet(path, index=False)
    return SplitRef(
        split=name,
        key=f"data/{key}",
        sha256=file_sha256(path),
        num_rows=len(rows),
        num_groups=int(rows["group"].nunique()),
        num_by_label=dict(sorted(_count_labels(rows, snapshot).items())),
    )


def _count_labels(rows: pd.DataFrame, snapshot: SnapshotRef) -> Counter[str]:
    """The names of the labels that occur, with their rows; texts to be written are none."""
    answers = rows["label"].dropna()
    return Counter(name for answer in answers for name in labels_in(snapshot.task, answer))
