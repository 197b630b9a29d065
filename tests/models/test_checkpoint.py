"""Checkpoints: a training that was stopped anywhere ends with the same weights, bit for bit."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models import checkpoint
from models.base import Base
from models.checkpoint import TENSORS, Checkpoint, _write
from models.config import TrainConfig
from models.device import has_bf16
from models.errors import TrainingInterrupted
from models.train import Trained
from models.watch import Watch
from tests.models.trainings import LEARNS, changed, make_base, rows, train_tiny, turned

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "logged at every second step": {"batch_size": 1},
    "accumulated": {"accumulation": 3, "dropout": 0.1, "schedule": "cosine"},
    "averaged": {"average_decay": 0.9, "evaluations_per_epoch": 3, "dropout": 0.1},
    "gradual": {"strategy": "gradual", "layer_decay": 0.7, "schedule": "inverse_sqrt"},
    "adapters": {"strategy": "lora", "lora": {"dropout": 0.1}, "average_decay": 0.9},
    "tokens": {"batch_tokens": 64, "dropout": 0.1, "class_weights": "balanced"},
    "contrastive": {"strategy": "contrastive", "dropout": 0.1},
    "bf16": {"precision": "bf16", "dropout": 0.1, "label_smoothing": 0.1},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


class Shelf:
    """Keeps every checkpoint that a training hands over, by step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, checkpoint: Path) -> None:
        shutil.move(checkpoint, self.folder / checkpoint.name)

    def at(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    @property
    def steps(self) -> list[int]:
        return sorted(int(path.name.split("-")[1]) for path in self.folder.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


def every_step(**fields: Any) -> TrainConfig:
    return changed(LEARNS, checkpoint_every_s=1e-9, **fields)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def facts(trained: Trained) -> tuple[Any, ...]:
    """All that a resumed training must say as the uninterrupted one did."""
    points = sorted(trained.curve, key=lambda point: (point.step, point.name))
    return trained.num_steps, trained.best_step, trained.best_value, points


@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_training_gives_the_same_bits(
    base: Base, tmp_path: Path, shelf: Shelf, name: str
) -> None:
    """From the middle of each epoch and from its end; rows are grouped by length in all of them."""
    if name == "bf16" and not has_bf16():
        pytest.skip("this processor has no bf16 products: run on one with AVX512-BF16 or AMX")
    config = every_step(epochs=2, **SETTINGS[name])
    whole = train_tiny(base, tmp_path / "whole", config)
    watched = train_tiny(base, tmp_path / "watched", config, on_checkpoint=shelf.put)
    assert content(tmp_path / "watched") == content(tmp_path / "whole")
    per_epoch = whole.num_steps // 2
    assert shelf.steps == list(range(1, whole.num_steps))
    for step in (1, per_epoch - 1, per_epoch, per_epoch + 2):
        out = tmp_path / f"from {step}"
        resumed = train_tiny(base, out, config, resume_from=shelf.at(step))
        assert content(out) == content(tmp_path / "whole"), f"resumed from step {step}"
        assert facts(resumed) == facts(whole) == facts(watched)


def test_resumed_training_stops_as_early(base: Base, tmp_path: Path, shelf: Shelf) -> None:
    """The counter of validations that were not better is part of the checkpoint."""
    fields = {"metric": "log_loss", "evaluations_per_epoch": 4, "early_stopping": 3, "epochs": 9}
    config = every_step(**fields)
    validation = turned(rows(tmp_path, num_rows=64, first=500))
    whole = train_tiny(
        base, tmp_path / "whole", config, validation=validation, on_checkpoint=shelf.put
    )
    assert whole.num_steps == whole.best_step + 12
    resumed = train_tiny(
        base, tmp_path / "out", config, validation=validation,
        resume_from=shelf.at(whole.best_step + 9),
    )  # fmt: skip
    assert facts(resumed) == facts(whole)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_resumed_training_counts_each_token_once(base: Base, tmp_path: Path, shelf: Shelf) -> None:
    """Batches are fetched ahead of the step that trains on them."""
    counts: list[int] = []

    class Counting(Watch):
        def restore_best(self, model: torch.nn.Module) -> None:
            counts.append(self.num_tokens)
            super().restore_best(model)

    config = every_step(accumulation=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.train.Watch", Counting)
        train_tiny(base, tmp_path / "whole", config, on_checkpoint=shelf.put)
        train_tiny(base, tmp_path / "resumed", config, resume_from=shelf.at(5))
    assert counts[0] == counts[1] > 0


def test_checkpoint_is_written_at_the_end_of_each_epoch_and_on_the_clock(
    base: Base, tmp_path: Path, shelf: Shelf
) -> None:
    train_tiny(base, tmp_path / "model", changed(epochs=3), on_checkpoint=shelf.put)
    assert shelf.steps == [16, 32]  # at the last step the model itself is saved
    assert {p.name for p in shelf.at(16).iterdir()} == {
        "tensors.safetensors",
        "numbers.json",
        "trainer_state.json",
    }


def save_failing_first(patch: pytest.MonkeyPatch, exc: Exception) -> None:
    """Safetensors' own `save_file`, that finds no room for the first checkpoint."""
    save, calls = checkpoint.save_file, []

    def save_file(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise exc
        save(tensors, path)

    patch.setattr(checkpoint, "save_file", save_file)


@pytest.mark.parametrize(
    "exc",
    [
        OSError(28, "No space left on device"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
    ],
)
def test_checkpoint_that_finds_no_room_is_a_warning_and_the_training_goes_on(
    base: Base, tmp_path: Path, shelf: Shelf, exc: Exception,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    config = every_step(epochs=1)
    whole = train_tiny(base, tmp_path / "whole", config)
    save_failing_first(monkeypatch, exc)
    train_tiny(base, tmp_path / "out", config, on_checkpoint=shelf.put)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert "could not be written, training goes on" in caplog.text
    assert "No space left on device" in caplog.text
    assert shelf.steps == list(range(2, whole.num_steps))
    assert not list((tmp_path / "work").rglob("checkpoint-1"))


def test_checkpoint_that_cannot_be_written_for_another_cause_ends_the_training(
    base: Base, tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_failing_first(monkeypatch, SafetensorError("tensors share memory"))
    with pytest.raises(SafetensorError, match="share memory"):
        train_tiny(base, tmp_path / "out", every_step(epochs=1), on_checkpoint=shelf.put)


def test_sigterm_ends_a_training_with_a_checkpoint_to_go_on_from(
    base: Base, tmp_path: Path, shelf: Shelf
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    whole = train_tiny(base, tmp_path / "whole")

    def strike(progress: Any) -> None:
        if progress.step == 11:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingInterrupted, match=r"after step 11 of 32; run again: it continues"):
        train_tiny(base, tmp_path / "cut", on_progress=strike, on_checkpoint=shelf.put)
    assert signal.getsignal(signal.SIGTERM) is before
    assert shelf.steps == [11]
    assert not (tmp_path / "cut").exists()
    resumed = train_tiny(base, tmp_path / "out", resume_from=shelf.at(11))
    assert facts(resumed) == facts(whole)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("step", [8, 32])
def test_sigterm_cuts_a_validation_short_which_is_then_made_up_for(
    base: Base, tmp_path: Path, shelf: Shelf, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a validation between, with averaged weights in the model, and at the last one."""
    config = changed(evaluations_per_epoch=2, average_decay=0.9)
    whole = train_tiny(base, tmp_path / "whole", config)
    score = Watch._score

    def slow_score(self: Watch, model: torch.nn.Module) -> dict[str, float]:
        if self.num_validations == step // 8:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("the signal did not interrupt")
        return score(self, model)

    monkeypatch.setattr(Watch, "_score", slow_score)
    monkeypatch.setattr(
        Watch,
        "num_validations",
        property(lambda self: 1 + self._validated_step // 8),
        raising=False,
    )
    with pytest.raises(TrainingInterrupted, match=f"after step {step} of 32"):
        train_tiny(base, tmp_path / "cut", config, on_checkpoint=shelf.put)
    monkeypatch.undo()
    resumed = train_tiny(base, tmp_path / "out", config, resume_from=shelf.at(step))
    assert facts(resumed) == facts(whole)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_sigterm_is_left_to_others_where_nobody_takes_checkpoints(
    base: Base, tmp_path: Path
) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        train_tiny(
            base, tmp_path / "model", changed(epochs=0.2),
            on_progress=lambda p: os.kill(os.getpid(), signal.SIGTERM) if p.step == 1 else None,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_checkpoint_holds_tied_weights_once(base: Base, tmp_path: Path, shelf: Shelf) -> None:
    train_tiny(base, tmp_path / "model", changed(epochs=1.1), on_checkpoint=shelf.put)
    state = Checkpoint.load(shelf.at(16)).state
    weight = torch.arange(6.0).reshape(2, 3)
    tensors = {"model.a": weight, "model.b": weight, "model.c": weight.T, "model.d": weight.clone()}
    _write(tmp_path / "tied", tensors, {}, state)
    assert set(load_file(tmp_path / "tied" / TENSORS)) == {"model.a", "model.c", "model.d"}
    loaded = Checkpoint.load(tmp_path / "tied").part("model")
    assert all(torch.equal(loaded[n.removeprefix("model.")], t) for n, t in tensors.items())
