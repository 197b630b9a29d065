"""A time limit cuts a training after a step, says so, and moves no weight of one that goes on."""

from pathlib import Path

import pytest

from models.base import Base
from models.watch import Watch
from tests.models.test_checkpoint import Shelf
from tests.models.trainings import changed, make_base, train_tiny

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


def test_a_limit_ends_it_after_a_step_with_what_it_has_learned(base: Base, tmp_path: Path) -> None:
    cut = train_tiny(base, tmp_path / "cut", changed(budget_s=1e-6))
    assert cut.is_cut
    assert cut.num_steps == cut.best_step == 1
    assert [p.step for p in cut.curve if p.name == "validation_accuracy"] == [1]
    assert (tmp_path / "cut" / WEIGHTS).is_file()


def test_a_cut_training_goes_on_from_its_checkpoint_as_if_it_had_never_been_cut(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf").mkdir()
    shelf = Shelf(tmp_path / "shelf")
    whole = train_tiny(base, tmp_path / "whole", changed(budget_s=3600))  # 32 steps in 2 epochs
    assert not whole.is_cut
    asked: list[None] = []

    def is_over(self: Watch) -> bool:
        asked.append(None)
        return len(asked) == 20

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "_is_over_budget", is_over)
        config = changed(checkpoint_every_s=3600)
        cut = train_tiny(base, tmp_path / "cut", config, on_checkpoint=shelf.put)
    assert cut.is_cut
    assert cut.num_steps == 20
    assert shelf.steps == [16], "no checkpoint holds the validation of the cut"
    again = train_tiny(base, tmp_path / "again", resume_from=shelf.at(16))
    assert not again.is_cut
    assert again.curve == whole.curve
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (
        tmp_path / "whole" / WEIGHTS
    ).read_bytes()


def test_the_seconds_before_a_checkpoint_count(base: Base, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    shelf = Shelf(tmp_path / "shelf")
    first = train_tiny(base, tmp_path / "first", on_checkpoint=shelf.put)
    assert first.num_steps == 32
    spent = changed(budget_s=1e-3 + first.wall_s / 100)
    again = train_tiny(base, tmp_path / "again", spent, resume_from=shelf.at(16))
    assert again.is_cut
    assert again.num_steps == 17, "the limit was past before it went on"
