"""Search: try settings on train and validation; the best ones train the challenger."""

import importlib.metadata
import logging
from functools import partial

from prefect import task

from models.adapt import check_strategy
from models.base import Base
from models.config import BaseConfig, SearchConfig, TrainConfig
from models.device import code_digest
from models.search import Proposal, best_trial
from records.base import digest_of
from records.data import DataRef
from records.search import SearchResult, Trial
from tasks.budget import Allowance
from tasks.place import Place
from tasks.retries import RETRIED
from tasks.train import find_base
from tasks.trials import Trials, spent_s, try_out

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
    allowance: Allowance | None = None,
) -> SearchResult:
    """All trials of a search; those that are in the store are not made again.

    Args:
        place, name, data, base, config: as for the training.
        search: the recipe's `search`.
        train_key: of the recipe's own settings.
        allowance: what the run may take; None: no limit.

    Raises:
        ModelError: every trial diverged.
        SettingExceedsModel: a strategy is beyond this machine.
        OverBudget: a trial would exceed the allowance, or has; those before are kept.
    """
    for strategy in search.strategy:
        check_strategy(config.model_copy(update={"strategy": strategy}))
    key, found = search_key(search, train_key), find_base(place, base, data)
    made = Trials(place, name, key, config.metric, {"trials": search.trials})
    config = config.model_copy(update={"budget_s": None})  # a trial is cut by step alone
    trials: list[Trial] = []
    while len(trials) < search.trials:
        if trials and search.budget_s is not None and spent_s(trials) >= search.budget_s:
            log.warning(
                "search.budget_s=%g ended the search after %d of %d trials",
                search.budget_s, len(trials), search.trials,
            )  # fmt: skip
            break
        make = partial(_try, place, data, found, config, search, tuple(trials), allowance)
        trial = made.get(f"{len(trials):04d}", make)
        trials.append(trial)
        log.info(
            "trial %d of %d: %s, %s %s, %s", len(trials), search.trials, trial.state, config.metric,
            trial.best_value, trial.settings or "the recipe's own settings",
        )  # fmt: skip
    best = best_trial(trials, config.metric, "lower search.learning_rate")
    made.end(is_cut=(is_cut := len(trials) < search.trials))
    return SearchResult(
        search_key=key,
        metric=config.metric,
        trials=tuple(trials),
        best=best,
        is_cut=is_cut,
    )


def search_key(search: SearchConfig, train_key: str) -> str:
    """Digest of all that decides what is tried and what comes of it, its length aside."""
    return digest_of(
        [
            train_key,
            search.model_dump(mode="json", exclude={"trials", "budget_s"}),
            code_digest("search"),
            importlib.metadata.version("optuna"),
        ]
    )


def tuned(config: TrainConfig, found: SearchResult) -> TrainConfig:
    """The settings of the best trial, with its seed."""
    winner = found.winner
    return TrainConfig.model_validate(config.model_dump() | winner.settings | {"seed": winner.seed})


def _try(
    place: Place,
    data: DataRef,
    base: Base,
    config: TrainConfig,
    search: SearchConfig,
    earlier: tuple[Trial, ...],
    allowance: Allowance | None,
) -> Trial:
    proposal = Proposal(config, search, earlier)
    tried = try_out(place, data, base, proposal.config, judge=proposal.note, allowance=allowance)
    return Trial(
        number=proposal.number,
        seed=proposal.seed,
        settings=proposal.settings,
        state=tried.state,
        points=tuple(proposal.points),
        best_value=tried.best_value,
        wall_s=tried.wall_s,
    )
