"""What each step of the flow costs, and the end of a run at a step's border where that is too much."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import OverBudget
from records.cost import Budget, Spent, StepCost
from tasks.budget import Allowance
from tasks.meter import meter, peak_bytes

COMPUTING = ("choose", "search", "train", "evaluate")
"""Steps in which models compute, on CUDA cards where there are any."""


class Costs:
    """Collects a StepCost per `with costs.step(name)`; children count once they have ended.

    Args:
        budget: the recipe's; None: no limit.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget
        self._steps: list[StepCost] = []

    @contextmanager
    def step(self, name: str, *, may_stop: bool = True) -> Iterator[None]:
        """Measure what a step takes.

        Raises:
            OverBudget: the steps before have taken too much, and this one `may_stop`.
        """
        if may_stop:
            self._check(name)
        start = meter().read()
        try:
            yield
        finally:
            spent = meter().since(start, on_cards=name in COMPUTING)
            cost = StepCost(step=name, peak_memory_bytes=peak_bytes(), **spent.model_dump())
            self._steps.append(cost)

    def steps(self) -> tuple[StepCost, ...]:
        """What was measured so far, in order."""
        return tuple(self._steps)

    def allowance(self) -> Allowance | None:
        """For the step that now begins; None where there is no limit."""
        if self._budget is None:
            return None
        return Allowance(budget=self._budget, before=self._total, start=meter().read())

    @property
    def _total(self) -> Spent:
        return sum(self._steps, Spent())

    def _check(self, name: str) -> None:
        over = self._budget.excess(self._total) if self._budget else ""
        if over:
            raise OverBudget(
                f"the run has taken {over}; it stopped before the step {name!r}, and what it finished "
                "is kept. Raise the budget and run again: it goes on from there"
            )
