"""The recipe's `budget` in a training: said before it begins where that can be known, kept after each step."""

import logging
from pathlib import Path

from models.config import TrainConfig
from models.device import device_class, training_dtype
from models.errors import OverBudget
from models.progress import Progress
from records.base import Record
from records.cost import Budget, Spent
from records.document import TrainResult
from tasks.meter import Reading, meter

log = logging.getLogger("refit")

SPENT_FILE = "spent.json"
"""In every checkpoint: what the training took up to it, in all runs."""
WARM_UP_STEPS, FIRST_STEPS = 5, 20
"""Steps that are slower than the others, and those after them that tell the speed."""


class Allowance(Record):
    """The budget of a run, and what it took before the step that now begins. For this process only."""

    budget: Budget
    before: Spent
    start: Reading
    """Of this process's meter, at the beginning of the step."""

    @property
    def spent(self) -> Spent:
        """By the run, up to now."""
        return self.before + meter().since(self.start, on_cards=True)


class Guard:
    """Counts what one training takes, and ends it where that is, or will be, over the budget.

    Args:
        config: its settings.
        allowance: what the run may take; None: it is only counted.
        earlier: what earlier runs spent on it.
        speed: what a finished training like it took; None: its own first steps tell.
        is_kept: whether its last step is, by a checkpoint.
    """

    def __init__(
        self,
        config: TrainConfig,
        allowance: Allowance | None,
        *,
        earlier: Spent | None = None,
        speed: Spent | None = None,
        is_kept: bool = True,
    ) -> None:
        self.earlier = earlier or Spent()
        self._config, self._allowance = config, allowance
        self._speed, self._is_kept = speed, is_kept
        self._began = self._mark = meter().read()
        self._first_step = self._num_tokens = 0

    @property
    def spent(self) -> Spent:
        """By this training, in all its runs."""
        return self.earlier + meter().since(self._began, on_cards=True)

    def start(self, now: Progress) -> None:
        """Before the first step; raises OverBudget where all of it will not fit."""
        self._first_step, self._num_tokens = now.step, now.num_tokens
        self._look_ahead(now, self._speed, "the speed of the last training like this one")

    def step(self, now: Progress) -> None:
        """After each step; raises OverBudget where the run has taken too much, or will have."""
        meter().count(now.num_tokens - self._num_tokens)
        self._num_tokens = now.num_tokens
        if now.step == now.num_steps:
            return  # nothing is left to save
        done = now.step - self._first_step
        if done == WARM_UP_STEPS:
            self._mark = meter().read()
        if done == WARM_UP_STEPS + FIRST_STEPS and self._speed is None:
            speed = meter().since(self._mark, on_cards=True)
            self._look_ahead(now, speed, f"the speed of {FIRST_STEPS} of its steps")
        self._check(now, Spent(), "the run has taken ", "")

    def note(self, checkpoint: Path) -> None:
        """Write into a checkpoint what the training took up to it; without room for it, nothing."""
        file = checkpoint / SPENT_FILE
        try:
            file.write_bytes(self.spent.to_json())
        except OSError as exc:
            file.unlink(missing_ok=True)
            log.warning("what the training took could not be noted in its checkpoint: %s", exc)

    def _look_ahead(self, now: Progress, speed: Spent | None, by: str) -> None:
        more = Spent(num_tokens=now.num_tokens_left)
        if speed is not None and speed.num_tokens:
            more = speed.times(now.num_tokens_left / speed.num_tokens)
        else:
            by = "counted, the time is not known yet"
        cut_s = self._config.budget_s
        if cut_s is not None and more.wall_s:
            more = more.times(min(1.0, max(0.0, cut_s - self.earlier.wall_s) / more.wall_s))
        elif cut_s is not None:
            return  # how far it comes until it is cut, its first steps tell
        self._check(now, more, "the whole run would take ", f" (by {by})" if speed else f" ({by})")

    def _check(self, now: Progress, more: Spent, says: str, how: str) -> None:
        if self._allowance is None:
            return
        over = self._allowance.budget.excess(self._allowance.spent + self.earlier + more)
        if over:
            raise OverBudget(f"{says}{over}{how}; {self._ended(now)}")

    def _ended(self, now: Progress) -> str:
        """What became of the training, and what to do."""
        lower = f"or lower train.epochs={self._config.epochs:g}"
        if now.step == 0:
            return f"nothing was trained. Raise the budget, {lower}"
        where = f"step {now.step} of {now.num_steps}"
        if not self._is_kept:
            return (
                f"this short training stopped after {where} and is not kept, those before it are. "
                f"Raise the budget and run again: it goes on from there, {lower}"
            )
        return (
            f"the training stopped after {where}, which is kept. Raise the budget and run again: it "
            f"continues there, {lower}"
        )


def spent_at(checkpoint: Path | None) -> Spent:
    """What a training took up to a checkpoint; nothing where an earlier refit wrote it."""
    file = checkpoint / SPENT_FILE if checkpoint else None
    return Spent.from_json(file.read_bytes()) if file and file.is_file() else Spent()


def is_like(result: TrainResult, base_digest: str, config: TrainConfig) -> bool:
    """Whether a finished training tells the speed of another: base, strategy, precision, device."""
    return result.spent is not None and (
        result.base_digest, result.strategy, result.dtype, result.device,
    ) == (base_digest, config.strategy, training_dtype(config.precision), device_class())  # fmt: skip
