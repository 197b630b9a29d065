"""Check and split: done once per data key, and nothing is split where a check failed."""

import shutil
from pathlib import Path

import pytest

from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from records.data import SPLITS, DataRef
from tasks.check import check, data_key, read_examples, read_split, stored_data
from tasks.ingest import ingest, snapshot_key
from tasks.payload import open_folder
from tasks.place import Place
from tests.meeting import meet_at_the_manifest
from tests.tiny import write_csv

CHECKS, SPLIT = ChecksConfig(), SplitConfig()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        home=str(tmp_path), store_uri=str(tmp_path / "store"), tracking_uri="sqlite:///unused"
    )


def checked(place: Place, path: Path, checks: ChecksConfig = CHECKS) -> DataRef:
    data = DataConfig(source=str(path))
    return check.fn(place, ingest.fn(place, data), data, checks, SPLIT)


def test_check_splits_every_kept_row_once(place: Place, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", num_rows=300)
    with path.open("a", encoding="utf-8") as file:
        file.write("same text,positive\nsame text,negative\n")
    ref = checked(place, path)
    assert ref.report.passed
    assert (ref.report.num_in, ref.report.num_kept) == (302, 300)
    assert sum(ref.report.dropped.values()) == 2
    assert sum(ref.split(name).num_rows for name in SPLITS) == 300
    groups = [set(read_split(place.open(), ref.split(s), place.cache)["group"]) for s in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 300
    assert ref.labels == ("negative", "positive")


def test_check_is_done_once_per_data_key(place: Place, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", num_rows=300)
    first = checked(place, path)
    # Without the snapshot a second check could not run.
    ref = first.snapshot
    shutil.rmtree(Path(place.store_uri) / snapshot_key(ref))
    again = check.fn(place, ref, DataConfig(source=str(path)), CHECKS, SPLIT)
    assert again == first


@pytest.mark.parametrize("rival_ends", [True, False])
def test_two_first_checks_of_the_same_rows_end_with_one_whole_result(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival_ends: bool
) -> None:
    """Both find nothing and store their files; one of them is slow with its manifest, or first."""
    path = write_csv(tmp_path / "rows.csv", num_rows=300)
    snapshot = ingest.fn(place, data := DataConfig(source=str(path)))
    rivals: list[DataRef] = []

    def rival() -> None:
        rivals.append(check.fn(place, snapshot, data, CHECKS, SPLIT))

    meet_at_the_manifest(monkeypatch, "data/", rival, rival_ends=rival_ends)
    ref = check.fn(place, snapshot, data, CHECKS, SPLIT)
    assert rivals == ([ref] if rival_ends else [])
    assert stored_data(place.open(), ref.data_key) == ref
    assert sum(len(read_split(place.open(), ref.split(s), place.cache)) for s in SPLITS) == 300


def test_data_key_moves_with_what_decides_about_rows_only(place: Place, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", num_rows=10)
    data = DataConfig(source=str(path))
    ref = ingest.fn(place, data)
    key = data_key(ref, data, CHECKS, SPLIT)
    assert data_key(ref, DataConfig(source="moved.csv"), CHECKS, SPLIT) == key
    assert data_key(ref, data, ChecksConfig(max_chars=99), SPLIT) != key
    assert data_key(ref, data, CHECKS, SplitConfig(salt="2")) != key


def test_check_asks_anew_where_other_labels_are_allowed(place: Place, tmp_path: Path) -> None:
    """The labels that rows are renamed to are the allowed ones: an earlier check did not ask that."""
    path = write_csv(tmp_path / "rows.csv", num_rows=300)
    assert checked(place, path).report.passed
    data = DataConfig(source=str(path), rename_labels={"0": "negative", "1": "other"})
    ref = check.fn(place, ingest.fn(place, data), data, CHECKS, SPLIT)
    assert [r.name for r in ref.report.results if not r.passed] == ["label_set"]


def test_check_refuses_too_few_rows_and_keeps_examples(place: Place, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", num_rows=300)
    ref = checked(place, path, ChecksConfig(labels=("positive",), min_rows=500))
    failed = {result.name for result in ref.report.results if result.blocking and not result.passed}
    assert not ref.report.passed
    assert len(failed) >= 2, failed
    examples = read_examples(place.open(), ref, place.cache)
    assert 0 < len(examples) <= 10 * len(failed)
    docs = open_folder(place.open(), f"data/{ref.data_key}", place.cache) / "data_docs"
    assert (docs / "index.html").is_file()
