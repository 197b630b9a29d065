"""What a task does differently, behind one protocol; the pipeline around it is the same for all."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from records.scores import Fingerprint, Parity, Scorecard
from records.task import Task

if TYPE_CHECKING:
    from models.base import Base
    from models.config import TrainConfig
    from models.lesson import Lesson
    from models.scoring import ScoringRequest


class Examples(NamedTuple):
    """One split in memory: N texts with what each should be answered."""

    texts: Sequence[str]
    labels: Sequence[str]


class Scored(NamedTuple):
    """A scorecard, and the texts that the model wrote, in the order of the items."""

    card: Scorecard
    outputs: Sequence[str] | None = None


Answer = Mapping[str, str | float | Sequence[str] | Sequence[float]]
"""`text`, and what else is worth showing, in that order."""


class Consumer(Protocol):
    """The saved artifact as whoever uses it loads it."""

    num_texts: int
    """Texts that are timed in each round."""
    num_warm_ups: int

    def answer(self, text: str) -> object:
        """The answer to one text, which is what is timed."""

    def parity(
        self,
        card: Scorecard,
        texts: Sequence[str],
        chosen: Sequence[int],
        replies: Sequence[object],
    ) -> Parity:
        """Whether it answers what was scored; `replies` are its answers to the texts `chosen`."""


class Predictor(Protocol):
    """The champion, for `refit predict`."""

    def predict(self, texts: Sequence[str]) -> Sequence[Answer]:
        """What it answers to each text."""


class TaskCode(Protocol):
    """One task's part in training, scoring and use."""

    baselines: tuple[str, ...]
    """Roles that a first champion must beat, whatever the base."""
    judges_base: bool
    """Whether an untuned base that can do the task must be beaten, too."""

    training_modules: tuple[str, ...]
    """Modules of this room, beside those of every training, whose code can move the weights."""

    def lesson(
        self,
        *,
        base: "Base",
        config: "TrainConfig",
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
    ) -> "Lesson":
        """The task made ready to be learned; raises ModelError where base or settings do not fit."""

    def fingerprint(self, request: "ScoringRequest") -> Fingerprint:
        """What two scorecards must share to be comparable."""

    def score(self, request: "ScoringRequest") -> Scored:
        """Load the artifact and score it; raises ModelError where it cannot be loaded."""

    def consumer(self, request: "ScoringRequest") -> Consumer:
        """The artifact as a consumer has it; raises ModelError where it cannot be loaded."""

    def predictor(self, path: Path) -> Predictor:
        """The artifact, ready to answer; raises ModelError where it cannot be loaded."""

    def score_baselines(
        self, request: "ScoringRequest", training: Examples, validation: Examples
    ) -> list[Scored]:
        """Those of `baselines`, fitted and scored; role and model of the request do not count."""


def task_code(task: Task) -> TaskCode:
    """The code of a task, loaded when it is needed."""
    maker: Callable[[], TaskCode] = importlib.import_module(f"models.{task}").Code
    return maker()
