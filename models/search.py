"""Which settings to try next, and when a trial is not worth its end.

A proposal is a function of the search, the seed and the earlier trials: a search that was killed goes
on with the trials that it has.
"""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import TrialState, create_trial

from models.config import SearchConfig, TrainConfig
from models.errors import ModelError
from records.base import digest_of
from records.policy import HIGHER_IS_BETTER
from records.search import Trial

NUM_RANDOM = 4
"""Trials that are drawn at random before earlier ones guide the choice, and that are never cut."""

BY_LOGARITHM = ("learning_rate",)


class Cut(Exception):
    """The trial is worse than half of the earlier ones were at this step."""


class Proposal:
    """One trial: its settings, and a judge of how it goes.

    Args:
        config: the recipe's `train`.
        search: the recipe's `search`.
        earlier: trials 0 to i - 1.
    """

    def __init__(self, config: TrainConfig, search: SearchConfig, earlier: Sequence[Trial]) -> None:
        self.number = len(earlier)
        self.seed = trial_seed(config.seed, self.number)
        self._sign = 1 if HIGHER_IS_BETTER[config.metric] else -1
        study = _study(search, earlier, self._sign, self.seed)
        space = _distributions(search)
        self._trial = study.ask(space if self.number else None)
        self.settings: dict[str, Any] = dict(self._trial.params)
        self.config = TrainConfig.model_validate(
            config.model_dump() | self.settings | {"seed": self.seed}
        )
        self.points: list[tuple[int, float]] = []

    def note(self, step: int, value: float) -> None:
        """Take a validation in; raises Cut where the rest is not worth its time, by step alone."""
        self.points.append((step, value))
        self._trial.report(self._sign * value, step)
        if self.number and self._trial.should_prune():
            raise Cut


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number`."""
    return int(digest_of([seed, number])[:8], 16) % 2**31


def best_trial(trials: Sequence[Trial], metric: str, advice: str) -> int:
    """Number of the finished trial with the best value, the first of equal ones.

    Raises:
        ModelError: none finished; it ends with `advice`.
    """
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    finished = [t for t in trials if t.state == "finished" and t.best_value is not None]
    if not finished:
        raise ModelError(f"all {len(trials)} trials of the search diverged; {advice}")
    return max(finished, key=lambda t: (sign * (t.best_value or 0.0), -t.number)).number


def _study(search: SearchConfig, earlier: Sequence[Trial], sign: int, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=NUM_RANDOM),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=NUM_RANDOM),
    )
    space = _distributions(search)
    states = {"finished": TrialState.COMPLETE, "cut": TrialState.PRUNED}
    for trial in earlier:
        # The recipe's own settings are no point of the space, but a measure for cutting.
        own = space if trial.settings else {}
        study.add_trial(
            create_trial(
                state=states.get(trial.state, TrialState.FAIL),
                params=dict(trial.settings),
                distributions=own,
                intermediate_values={step: sign * value for step, value in trial.points},
                value=sign * trial.best_value
                if trial.state == "finished" and trial.best_value is not None
                else None,
            )
        )
    return study


def _distributions(search: SearchConfig) -> dict[str, BaseDistribution]:
    return {
        name: FloatDistribution(*values, log=name in BY_LOGARITHM)
        if isinstance(getattr(search, name)[0], float)
        else CategoricalDistribution(values)
        for name, values in search.space().items()
    }
