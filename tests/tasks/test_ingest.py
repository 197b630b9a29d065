"""A snapshot is named by its rows alone."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_checks.config import DataConfig
from data_checks.rows import Row
from records.base import file_sha256
from records.data import SnapshotRef
from tasks import ingest as module
from tasks.ingest import SNAPSHOT_FILE, ingest, snapshot_key, write_rows
from tasks.payload import open_folder
from tasks.place import Place
from tests.meeting import meet_at_the_manifest

TEXT = 'text,label\n"one, two",a\nthree,b\nthree,b\n'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        home=str(tmp_path), store_uri=str(tmp_path / "store"), tracking_uri="sqlite:///unused"
    )


def ingested(place: Place, path: Path, content: str) -> SnapshotRef:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return ingest.fn(place, DataConfig(source=str(path)))


def row(text: str, label: str | None = "a", **changes: object) -> Row:
    given = {
        "text": text, "label": label, "split": None, "file": "f", "row": 1, "line": 1,
        "attributes": (), **changes,
    }  # fmt: skip
    return Row(**given)  # type: ignore[arg-type]


def digest(rows: Iterable[Row], path: Path, attributes: tuple[str, ...] = ()) -> str:
    sha = hashlib.sha256()
    write_rows(rows, attributes, path, sha)
    return sha.hexdigest()


def test_digest_is_the_same_wherever_the_file_lies(place: Place, tmp_path: Path) -> None:
    here = ingested(place, tmp_path / "here" / "rows.csv", TEXT)
    there = ingested(place, tmp_path / "there" / "other-name.csv", TEXT)
    assert here.snapshot_digest == there.snapshot_digest
    assert here.files[0].uri != there.files[0].uri
    assert here.num_rows == 3


def test_digest_is_the_same_in_another_format(place: Place, tmp_path: Path) -> None:
    rows = [("one, two", "a"), ("three", "b"), ("three", "b")]
    lines = "".join(json.dumps({"label": label, "text": text}) + "\n" for text, label in rows)
    csv = ingested(place, tmp_path / "rows.csv", TEXT)
    jsonl = ingested(place, tmp_path / "rows.jsonl", lines)
    assert csv.snapshot_digest == jsonl.snapshot_digest


@pytest.mark.parametrize(
    ("old", "new"), [("three", "threE"), ("three,b\n", "three,a\n"), ("two", "two "), ("e,b\n", "")]
)
def test_digest_changes_with_one_character(
    place: Place, tmp_path: Path, old: str, new: str
) -> None:
    before = ingested(place, tmp_path / "rows.csv", TEXT)
    after = ingested(place, tmp_path / "rows.csv", TEXT.replace(old, new, 1))
    assert before.snapshot_digest != after.snapshot_digest


def test_digest_does_not_depend_on_the_bytes_of_the_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(f"text {i}", row=i, line=i) for i in range(100)]
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    first = digest(rows, whole)
    monkeypatch.setattr(module, "BATCH_ROWS", 7)
    second = digest(rows, parts)
    assert file_sha256(whole) != file_sha256(parts)
    assert first == second


@pytest.mark.parametrize(
    "other",
    [
        [row("two"), row("one")],
        [row("one"), row("two", split="test")],
        [row("one"), row("two", label=None)],
        [row("one"), row("two", attributes=(("lang", "en"),))],
        [row("one\ntwo")],
    ],
)
def test_digest_covers_order_split_label_and_attributes(tmp_path: Path, other: list[Row]) -> None:
    known = digest([row("one"), row("two")], tmp_path / "a.parquet", ("lang",))
    assert digest(other, tmp_path / "b.parquet", ("lang",)) != known


def test_digest_leaves_out_where_a_row_lay(tmp_path: Path) -> None:
    known = digest([row("one")], tmp_path / "a.parquet")
    assert digest([row("one", file="g", row=9, line=12)], tmp_path / "b.parquet") == known


def test_ingest_writes_a_snapshot_once(place: Place, tmp_path: Path) -> None:
    store = place.open()
    ref = ingested(place, tmp_path / "rows.csv", TEXT)
    rows = open_folder(store, snapshot_key(ref), place.cache) / SNAPSHOT_FILE
    written = rows.stat().st_mtime_ns
    keys = list(store.list())
    ingested(place, tmp_path / "again.csv", TEXT)
    assert rows.stat().st_mtime_ns == written
    assert list(store.list()) == keys


@pytest.mark.parametrize("rival_ends", [True, False])
def test_the_same_rows_from_two_places_at_once_are_one_whole_snapshot(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival_ends: bool
) -> None:
    rivals: list[SnapshotRef] = []

    def rival() -> None:
        rivals.append(ingested(place, tmp_path / "there" / "rows.csv", TEXT))

    meet_at_the_manifest(monkeypatch, "snapshots/", rival, rival_ends=rival_ends)
    ref = ingested(place, tmp_path / "here.csv", TEXT)
    assert [rival.snapshot_digest for rival in rivals] == [ref.snapshot_digest] * rival_ends
    rows = pq.read_table(open_folder(place.open(), snapshot_key(ref), place.cache) / SNAPSHOT_FILE)
    there, here = (str(tmp_path / name) for name in ("there/rows.csv", "here.csv"))
    assert set(rows["file"].to_pylist()) == {there if rival_ends else here}


def test_ingest_leaves_nothing_behind_when_a_file_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label"):
        ingested(place, tmp_path / "rows.csv", "text,etikett\none,a\n")
    assert list(place.open().list()) == []
    assert list(place.cache.iterdir()) == []
