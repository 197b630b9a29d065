"""A training that is over a budget ends like one that SIGTERM ends, and goes on bit for bit."""

from pathlib import Path

import pytest

from models.errors import OverBudget
from models.progress import Progress
from tests.models.test_checkpoint import Shelf, content
from tests.models.trainings import changed, make_base, train_tiny


def test_it_keeps_its_last_step_and_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (tmp_path / "shelf").mkdir()
    shelf, begun = Shelf(tmp_path / "shelf"), list[Progress]()

    def strike(progress: Progress) -> None:
        if progress.step == 8:
            raise OverBudget("too much")

    whole = train_tiny(base, tmp_path / "whole", changed(epochs=1), on_start=begun.append)
    assert (begun[0].step, begun[0].num_tokens) == (0, 0)
    assert begun[0].num_tokens_left == whole.num_tokens > 0
    with pytest.raises(OverBudget, match="too much"):
        train_tiny(
            base, tmp_path / "cut", changed(epochs=1), on_progress=strike,
            on_checkpoint=shelf.put, on_start=begun.append,
        )  # fmt: skip
    assert shelf.steps == [8]
    assert not (tmp_path / "cut").exists()
    again = train_tiny(
        base, tmp_path / "again", changed(epochs=1), resume_from=shelf.at(8),
        on_start=begun.append,
    )  # fmt: skip
    assert begun[-1].step == 8
    assert begun[-1].num_tokens + begun[-1].num_tokens_left == whole.num_tokens
    assert again.num_tokens == whole.num_tokens
    assert again.curve == whole.curve
    assert content(tmp_path / "again") == content(tmp_path / "whole")


def test_what_is_too_much_before_the_first_step_trains_nothing(tmp_path: Path) -> None:
    def refuse(progress: Progress) -> None:
        raise OverBudget("not even begun")

    steps: list[Progress] = []
    with pytest.raises(OverBudget, match="not even begun"):
        train_tiny(
            make_base(tmp_path / "base"), tmp_path / "out", on_start=refuse,
            on_progress=steps.append, on_checkpoint=lambda folder: None,
        )  # fmt: skip
    assert steps == []
    assert not (tmp_path / "out").exists()
