"""Trials of a search: each is made once, kept in the store, and shown in MLflow as a child run."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from models.base import Base
from models.config import TrainConfig
from models.errors import TrainingDiverged
from models.halving import sample
from models.search import Cut
from records.data import DataRef
from records.document import CurvePoint
from records.search import State, Trial
from records.task import labels_in
from tasks.budget import Allowance, Guard
from tasks.check import read_split
from tasks.place import Place
from tasks.registry import Registry
from tasks.stamped import read_stamped, write_stamped
from tasks.train import examples_of


class Tried(NamedTuple):
    """How one training that is thrown away went."""

    state: State
    best_value: float | None
    num_steps: int
    wall_s: float


class Trials:
    """The trials of one search.

    Args:
        place, name: where, and of which model.
        key: of the search; trials of equal keys are the same.
        metric: that they are judged by.
        params: of the search, for MLflow.
    """

    def __init__(
        self, place: Place, name: str, key: str, metric: str, params: dict[str, object]
    ) -> None:
        self._store, self._registry = place.open(), Registry(place)
        self._name, self._key, self._metric = name, key, metric
        self._tags = {"refit.search": key}
        with self._registry.training_run(
            experiment=name, train_key=f"search {key}", params=params, tags=self._tags
        ) as parent:
            self._tags["mlflow.parentRunId"] = parent.run_id
        self._parent = parent

    def end(self, *, is_cut: bool) -> None:
        """Tag the search's run with whether its time limit ended it; one with more time goes on."""
        self._parent.tag("refit.is_cut", str(is_cut))

    def get(self, trial_name: str, make: Callable[[], Trial]) -> Trial:
        """The trial of this name: from the store, or made now."""
        key = f"searches/{self._key}/{trial_name}.json"
        if self._store.exists(key):
            return read_stamped(self._store, key, Trial, may_be_bare=True)
        trial = make()
        with self._registry.training_run(
            experiment=self._name,
            train_key=f"search {self._key} {trial_name}",
            params={"number": trial.number, "state": trial.state, **trial.settings},
            tags=self._tags,
        ) as run:
            run.log_points(_curve(trial, self._metric))
        write_stamped(self._store, key, trial)
        return trial


def try_out(
    place: Place,
    data: DataRef,
    base: Base,
    config: TrainConfig,
    *,
    num_rows: tuple[int, int] | None = None,
    judge: Callable[[int, float], None] = lambda step, value: None,
    allowance: Allowance | None = None,
) -> Tried:
    """One training on train and validation, thrown away but for its figures.

    Args:
        place, data, base, config: as for a challenger.
        num_rows: most training and most validation rows; None: all.
        judge: takes each validation in as (step, metric); raises Cut to end the training.
        allowance: what the run may take; None: no limit.

    Raises:
        OverBudget: it would take more than the allowance, or has.
    """
    from models.train import train  # before the clock starts: it takes seconds, once

    metric, started = f"validation_{config.metric}", time.monotonic()
    training, validation = (
        examples_of(read_split(place.open(), data.split(split), place.cache))
        for split in ("train", "validation")
    )
    if num_rows is not None:
        named = partial(labels_in, data.task)
        training = sample(training, num_rows[0], config.seed, data.labels, named)
        validation = sample(validation, num_rows[1], config.seed)

    def on_log(point: CurvePoint) -> None:
        if point.name == metric:
            judge(point.step, point.value)

    guard = Guard(config, allowance, is_kept=False)
    state: State = "finished"
    best_value, num_steps = None, 0
    with place.scratch() as scratch:
        try:
            trained = train(
                config=config,
                base=base,
                labels=data.labels,
                training=training,
                validation=validation,
                lineage=frozenset(),
                out=Path(scratch) / "model",
                work=Path(scratch) / "work",
                task=data.task,
                on_log=on_log,
                on_start=guard.start,
                on_progress=guard.step,
            )
            best_value, num_steps = trained.best_value, trained.num_steps
        except Cut:
            state = "cut"
        except TrainingDiverged:
            state = "diverged"
    return Tried(state, best_value, num_steps, time.monotonic() - started)


def spent_s(trials: Sequence[Trial]) -> float:
    """Seconds that they took, whichever run made them."""
    return sum(trial.wall_s for trial in trials)


def _curve(trial: Trial, metric: str) -> list[CurvePoint]:
    return [
        CurvePoint(step=step, epoch=0.0, name=f"validation_{metric}", value=value)
        for step, value in trial.points
    ]
