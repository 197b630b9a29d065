"""Search: try settings on train and validation; the best ones train the challenger."""

import importlib.metadata
import logging
import time
from pathlib import Path

from prefect import task

from models.base import Base
from models.config import BaseConfig, SearchConfig, TrainConfig
from models.device import code_digest
from models.errors import TrainingDiverged
from models.search import Cut, Proposal, best_trial
from models.train import train
from records.base import digest_of
from records.data import DataRef
from records.document import CurvePoint
from records.search import SearchResult, State, Trial
from tasks.check import read_split
from tasks.place import Place
from tasks.registry import Registry
from tasks.retries import RETRIED
from tasks.train import examples_of, find_base

log = logging.getLogger("refit")


@task(name="search", task_run_name="search for settings", **RETRIED)
def search_settings(
    place: Place,
    name: str,
    data: DataRef,
    base: BaseConfig,
    config: TrainConfig,
    search: SearchConfig,
    train_key: str,
) -> SearchResult:
    """All trials of a search; those that are in the store are not made again.

    Args:
        place, name, data, base, config: as for the training.
        search: the recipe's `search`.
        train_key: of the recipe's own settings.

    Raises:
        ModelError: every trial diverged.
    """
    store, key = place.open(), search_key(search, train_key)
    found = find_base(place, base, data)
    tags = {"refit.search": key}
    registry = Registry(place)
    with registry.training_run(
        experiment=name, train_key=f"search {key}", params={"trials": search.trials}, tags=tags
    ) as parent:
        pass
    trials: list[Trial] = []
    for number in range(search.trials):
        trial_key = f"searches/{key}/{number:04d}.json"
        if store.exists(trial_key):
            trials.append(Trial.from_json(store.read(trial_key)))
            continue
        trial = _try(place, data, found, Proposal(config, search, trials))
        with registry.training_run(
            experiment=name,
            train_key=f"search {key} {number}",
            params={"number": number, "state": trial.state, **trial.settings},
            tags={**tags, "mlflow.parentRunId": parent.run_id},
        ) as run:
            run.log_points(_curve(trial, config.metric))
        store.write(trial_key, trial.to_json())
        trials.append(trial)
        log.info(
            "trial %d of %d: %s, %s %s, %s", number + 1, search.trials, trial.state, config.metric,
            trial.best_value, trial.settings or "the recipe's own settings",
        )  # fmt: skip
    best = best_trial(trials, config.metric)
    return SearchResult(search_key=key, metric=config.metric, trials=tuple(trials), best=best)


def search_key(search: SearchConfig, train_key: str) -> str:
    """Digest of all that decides what is tried and what comes of it, the number of trials aside."""
    return digest_of(
        [
            train_key,
            search.model_dump(mode="json", exclude={"trials"}),
            code_digest("search"),
            importlib.metadata.version("optuna"),
        ]
    )


def tuned(config: TrainConfig, found: SearchResult) -> TrainConfig:
    """The settings of the best trial, with its seed."""
    winner = found.winner
    return TrainConfig.model_validate(config.model_dump() | winner.settings | {"seed": winner.seed})


def _try(place: Place, data: DataRef, base: Base, proposal: Proposal) -> Trial:
    """One training that is thrown away but for its curve."""
    metric, started = f"validation_{proposal.config.metric}", time.monotonic()

    def judge(point: CurvePoint) -> None:
        if point.name == metric:
            proposal.note(point.step, point.value)

    store = place.open()
    training = examples_of(read_split(store, data.split("train"), place.cache))
    validation = examples_of(read_split(store, data.split("validation"), place.cache))
    state: State
    best_value = None
    with place.scratch() as scratch:
        try:
            trained = train(
                config=proposal.config,
                base=base,
                labels=data.labels,
                training=training,
                validation=validation,
                lineage=frozenset(),
                out=Path(scratch) / "model",
                work=Path(scratch) / "work",
                task=data.task,
                on_log=judge,
            )
            state = "finished"
            best_value = trained.best_value
        except Cut:
            state = "cut"
        except TrainingDiverged:
            state = "diverged"
    return Trial(
        number=proposal.number,
        seed=proposal.seed,
        settings=proposal.settings,
        state=state,
        points=tuple(proposal.points),
        best_value=best_value,
        wall_s=time.monotonic() - started,
    )


def _curve(trial: Trial, metric: str) -> list[CurvePoint]:
    return [
        CurvePoint(step=step, epoch=0.0, name=f"validation_{metric}", value=value)
        for step, value in trial.points
    ]
