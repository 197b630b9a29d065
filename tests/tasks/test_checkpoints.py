"""Checkpoints in the store: whole or passed over, few, and gone when the training is done."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import TrainingInterrupted
from models.progress import Progress
from tasks.checkpoints import CheckpointWriter, delete_checkpoints, find_checkpoint
from tasks.objects import DiskFull, StoreError, StoreUnreachable
from tasks.pins import is_pinned
from tasks.store import LocalStore, Store
from tests.world import World, flip_byte

pytest_plugins = ["tests.worlds"]

KEY = "k" * 64


def make(folder: Path, step: int) -> Path:
    """A folder as a training hands it over."""
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "numbers.json").write_text(f'{{"step": {step}}}')
    (path / "tensors.safetensors").write_bytes(b"tensors of step %d" % step)
    return path


def put(store: Store, folder: Path, *steps: int) -> None:
    """Store checkpoints, each by a writer of its own, so that none is dropped for the next."""
    for step in steps:
        with CheckpointWriter(store, KEY) as writer:
            writer.put(make(folder, step))


def found_step(store: Store, cache: Path) -> int:
    folder = find_checkpoint(store, KEY, cache)
    return 0 if folder is None else int(folder.name.partition("-")[0])


def test_checkpoint_comes_back_and_leaves_the_scratch_folder(store: Store, tmp_path: Path) -> None:
    assert find_checkpoint(store, KEY, tmp_path / "cache") is None
    put(store, tmp_path, 7)
    assert not (tmp_path / "checkpoint-7").exists()
    folder = find_checkpoint(store, KEY, tmp_path / "cache")
    assert folder is not None
    assert (folder / "tensors.safetensors").read_bytes() == b"tensors of step 7"


def test_only_the_last_two_checkpoints_stay(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path, 8, 9, 10, 100)
    assert {key.split("/")[2][:9] for key in store.list("checkpoints")} == {
        "000000010",
        "000000100",
    }
    assert found_step(store, tmp_path / "cache") == 100


def test_whoever_writes_or_looks_for_checkpoints_pins_them(store: Store, tmp_path: Path) -> None:
    """A training may last longer than gc's days."""
    put(store, tmp_path, 1)
    assert is_pinned(store, f"checkpoints/{KEY}", datetime.now(UTC))
    find_checkpoint(store, "another", tmp_path / "cache")
    assert is_pinned(store, "checkpoints/another", datetime.now(UTC))


@pytest.mark.parametrize("name", ["tensors.safetensors", "numbers.json", "manifest.json"])
def test_checkpoint_with_a_changed_byte_is_passed_over_and_said(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, 1, 2)
    (damaged,) = (store.folder / "checkpoints" / KEY).glob(f"000000002-*/{name}")
    flip_byte(damaged)
    assert found_step(store, tmp_path / "cache") == 1
    assert "checkpoint 000000002-" in caplog.text
    assert "trying the one before" in caplog.text


def test_unfinished_checkpoint_is_passed_over_and_never_counts_as_kept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, tmp_path, 1, 2)
    store.write(f"checkpoints/{KEY}/000000009-killed/numbers.json", b"{}")
    assert found_step(store, tmp_path / "cache") == 2
    put(store, tmp_path, 3)
    assert {key.split("/")[2][:9] for key in store.list("checkpoints")} == {
        "000000002",
        "000000003",
        "000000009",
    }


@pytest.mark.parametrize(
    "exc",
    [
        StoreUnreachable("the store does not answer; try again"),
        DiskFull("the store: No space left on device; free space there"),
    ],
)
def test_writer_keeps_the_newest_of_those_that_wait_and_survives_a_store_that_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exc: StoreError,
) -> None:
    store = LocalStore(tmp_path / "store")
    upload, calls = LocalStore.upload, Counter[str]()

    def fail_at_first(self: LocalStore, key: str, path: Path) -> None:
        calls[key.split("/")[2][:9]] += 1
        if calls.total() == 1:
            for step in (2, 3):
                writer.put(make(tmp_path, step))
            raise exc
        upload(self, key, path)

    monkeypatch.setattr(LocalStore, "upload", fail_at_first)
    with CheckpointWriter(store, KEY) as writer:
        writer.put(make(tmp_path, 1))
    assert calls == {"000000001": 1, "000000003": 2}
    assert f"could not be stored, training goes on: {exc}" in caplog.text
    assert found_step(store, tmp_path / "cache") == 3
    assert not list(tmp_path.glob("checkpoint-*"))


def test_delete_checkpoints_leaves_none_and_no_copy(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path, 1, 2)
    find_checkpoint(store, KEY, tmp_path / "cache")
    delete_checkpoints(store, KEY, tmp_path / "cache")
    assert list(store.list("checkpoints")) == []
    assert not list((tmp_path / "cache").rglob("numbers.json"))


@contextmanager
def sigterm_at(step: int) -> Iterator[Callable[[Progress], None]]:
    """In the place of the progress bar."""

    def strike(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    yield strike


def test_training_goes_on_after_sigterm_in_the_same_run_with_no_step_doubled(
    adopted: World, adopted_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = adopted.recipe("train.average_decay=0.9", "train.dropout=0.1")
    expected = adopted_world.copy_to(tmp_path / "undisturbed").train(recipe)
    for step in (30, 61):
        with monkeypatch.context() as patch:
            patch.setattr("tasks.train.shown_progress", lambda step=step: sigterm_at(step))
            with pytest.raises(TrainingInterrupted, match=f"after step {step} of 88; run again"):
                adopted.train(recipe)
        assert found_first_step(adopted.store) == step
        assert "FAILED" in {run.info.status for run in adopted.runs()}, "not shown as running"
    result = adopted.train(recipe)
    assert result.model_digest == expected.model_digest
    assert sorted(map(str, result.curve)) == sorted(map(str, expected.curve))
    assert list(adopted.store.list("checkpoints")) == []
    (run,) = [r for r in adopted.runs() if r.data.tags["refit.train_key"] == result.train_key]
    assert (run.info.run_id, run.info.status) == (result.mlflow_run_id, "FINISHED")
    for name in ("loss", "validation_accuracy"):
        logged = adopted.registry.client.get_metric_history(run.info.run_id, name)
        points = {point.step: point.value for point in result.curve if point.name == name}
        assert len(logged) == len(points)
        assert {metric.step: metric.value for metric in logged} == points


def found_first_step(store: Store) -> int:
    return max(int(key.split("/")[2][:9]) for key in store.list("checkpoints"))


def test_curve_that_a_killed_run_had_written_is_not_written_twice(adopted: World) -> None:
    """Killed between the curve and the result: the training is done again, the points are not."""
    recipe = adopted.recipe()
    first = adopted.train(recipe)
    adopted.store.delete(f"trains/{first.train_key}.json")
    again = adopted.train(recipe)
    assert again.mlflow_run_id == first.mlflow_run_id
    steps = adopted.registry.client.get_metric_history(first.mlflow_run_id, "loss")
    assert max(Counter(metric.step for metric in steps).values()) == 1
