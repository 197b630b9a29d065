"""The guard of a training: what is counted before it begins, foreseen by its speed, and kept."""

from pathlib import Path
from typing import Any

import pytest

from models.config import TrainConfig
from models.errors import OverBudget
from models.progress import Progress
from records.cost import Budget, Spent
from tasks import budget as budget_room
from tasks.budget import FIRST_STEPS, WARM_UP_STEPS, Allowance, Guard
from tasks.meter import Meter, Reading
from tasks.rapl import Rapl

LOOK = WARM_UP_STEPS + FIRST_STEPS


class PerToken(Meter):
    """A machine that draws 3.6 J for each token trained on: 1 mWh."""

    def read(self) -> Reading:
        found = super().read()
        return found.model_copy(update={"joules": found.num_tokens * 3.6})


def now(step: int, *, num_steps: int = 100) -> Progress:
    """A training of 10 tokens a step."""
    return Progress(
        step=step, num_steps=num_steps, loss=1.0, num_tokens=10 * step,
        num_tokens_left=10 * (num_steps - step), tokens_per_s=1.0, seconds_left=1.0,
    )  # fmt: skip


def guard(limits: dict[str, Any], *, before: Spent | None = None, **others: Any) -> Guard:
    config = TrainConfig(budget_s=others.pop("budget_s", None))
    allowance = Allowance(
        budget=Budget(**limits), before=before or Spent(), start=budget_room.meter().read()
    )
    return Guard(config, allowance, **others)


def test_tokens_are_counted_before_the_first_step() -> None:
    guard({"tokens": 1000}).start(now(0))
    with pytest.raises(
        OverBudget, match=r"take 1,000 tokens against budget\.tokens=999 .*nothing was"
    ):
        guard({"tokens": 999}).start(now(0))
    with pytest.raises(OverBudget, match=r"take 1,001 tokens"):
        guard({"tokens": 1000}, before=Spent(num_tokens=1)).start(now(0))
    guard({"tokens": 1000}, earlier=Spent(num_tokens=400)).start(now(40))
    with pytest.raises(OverBudget, match=r"stopped after step 40 of 100, which is kept"):
        guard({"tokens": 999}, earlier=Spent(num_tokens=400)).start(now(40))


def test_time_is_foreseen_by_the_last_training_like_it() -> None:
    speed = Spent(wall_s=500, cpu_s=900, energy_wh=3, num_tokens=500)
    guard({"wall_s": 1010}, speed=speed).start(now(0))
    for limits in ({"wall_s": 990}, {"cpu_s": 1799}, {"energy_wh": 5.9}):
        with pytest.raises(OverBudget, match="the speed of the last training like this one"):
            guard(limits, speed=speed).start(now(0))
    guard({"wall_s": 990}, speed=speed, budget_s=600).start(now(0))  # it is cut before
    with pytest.raises(OverBudget):
        guard({"wall_s": 590}, speed=speed, budget_s=600).start(now(0))


def test_time_is_foreseen_by_its_own_first_steps_where_there_was_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thirsty = PerToken(Rapl(tmp_path))
    monkeypatch.setattr(budget_room, "meter", lambda: thirsty)

    def run(energy_wh: float) -> None:
        watching = guard({"energy_wh": energy_wh})
        watching.start(now(0))
        for step in range(1, 101):
            watching.step(now(step))

    run(1.01)
    with pytest.raises(
        OverBudget, match=rf"take 1 Wh .*by the speed of {FIRST_STEPS} .* step {LOOK} of"
    ):
        run(0.99)
    with pytest.raises(
        OverBudget, match=r"has taken 0\.11 Wh .*after step 11 of 100, which is kept"
    ):
        run(0.105)


def test_what_is_over_ends_after_a_step_but_not_after_the_last() -> None:
    over = guard({"wall_s": 10}, before=Spent(wall_s=11))
    with pytest.raises(
        OverBudget, match=r"has taken 11[.\d]* s against budget\.wall_s=10; the training"
    ):
        over.step(now(1))
    over.step(now(100))


def test_tokens_are_counted_without_a_budget_too() -> None:
    free = Guard(TrainConfig(), None, earlier=Spent(num_tokens=30, wall_s=2.0))
    free.start(now(3))
    free.step(now(4))
    free.step(now(5))
    assert free.spent.num_tokens == 50
    assert free.spent.wall_s > 2
