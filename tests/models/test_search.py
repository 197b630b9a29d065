"""A search proposes by (seed, number, earlier trials) alone, and cuts by step."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.config import SearchConfig, TrainConfig
from models.errors import ModelError
from models.search import NUM_RANDOM, Cut, Proposal, best_trial, trial_seed
from records.search import Trial

SEARCH = SearchConfig(trials=12, learning_rate=(1e-5, 1e-1), batch_size=(8, 16))
CONFIG = TrainConfig(seed=5)


def tried(number: int, value: float, *, state: Any = "finished", **settings: Any) -> Trial:
    return Trial(
        number=number, seed=1, settings=settings, state=state, points=((1, value / 2), (2, value)),
        best_value=value if state == "finished" else None, wall_s=1.0,
    )  # fmt: skip


def search_through(score: Any, num_trials: int) -> list[Trial]:
    """A whole search, in which each trial's value is `score` of its learning rate."""
    trials: list[Trial] = []
    for number in range(num_trials):
        proposal = Proposal(CONFIG, SEARCH, trials)
        value = score(proposal.config.learning_rate)
        trials.append(tried(number, value, **proposal.settings))
    return trials


def test_the_first_trial_is_the_recipe_itself() -> None:
    first = Proposal(CONFIG, SEARCH, [])
    assert first.settings == {}
    assert first.config == CONFIG.model_copy(update={"seed": trial_seed(5, 0)})


def test_a_proposal_follows_from_seed_number_and_earlier_trials() -> None:
    whole = search_through(lambda rate: rate, 7)
    again = Proposal(CONFIG, SEARCH, whole[:5])
    assert again.settings == whole[5].settings
    assert again.seed == trial_seed(5, 5)
    other = Proposal(CONFIG.model_copy(update={"seed": 6}), SEARCH, whole[:5])
    assert other.settings != again.settings
    assert len({trial_seed(5, i) for i in range(100)}) == 100


def test_proposals_stay_in_the_space_and_near_what_was_good() -> None:
    def score(rate: float) -> float:
        return 1 - abs(rate - 1e-3) * 100 if rate < 1e-2 else 0.0

    trials = search_through(score, 12)
    rates = [float(str(t.settings["learning_rate"])) for t in trials[1:]]
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    assert {t.settings["batch_size"] for t in trials[1:]} <= {8, 16}
    assert best_trial(trials, "accuracy", "lower it") != 0
    assert max(map(score, rates)) > score(CONFIG.learning_rate)


def test_a_trial_worse_than_half_is_cut_and_the_first_ones_never() -> None:
    earlier = [tried(i, 0.8, learning_rate=1e-3, batch_size=8) for i in range(1, 6)]
    trials = [tried(0, 0.8), *earlier]
    with pytest.raises(Cut):
        Proposal(CONFIG, SEARCH, trials).note(1, 0.1)
    Proposal(CONFIG, SEARCH, trials).note(1, 0.7)
    Proposal(CONFIG, SEARCH, trials[: NUM_RANDOM - 1]).note(1, 0.0)


def test_a_loss_is_better_where_it_is_smaller() -> None:
    trials = [tried(0, 0.9), tried(1, 0.2, learning_rate=1e-3, batch_size=8), tried(2, 0.5)]
    assert best_trial(trials, "log_loss", "lower it") == 1
    assert best_trial(trials, "accuracy", "lower it") == 0
    losses = CONFIG.model_copy(update={"metric": "log_loss"})
    full = [*trials, *(tried(i, 0.3, learning_rate=1e-3, batch_size=8) for i in range(3, 6))]
    with pytest.raises(Cut):
        Proposal(losses, SEARCH, full).note(1, 5.0)


def test_trials_that_did_not_finish_cannot_win() -> None:
    trials = [tried(0, 0.9, state="diverged"), tried(1, 0.95, state="cut"), tried(2, 0.1)]
    assert best_trial(trials, "accuracy", "lower it") == 2
    with pytest.raises(ModelError, match="all 2 trials of the search diverged"):
        best_trial(trials[:2], "accuracy", "lower it")


def test_a_space_that_cannot_be_is_refused_with_every_problem() -> None:
    with pytest.raises(ValidationError) as caught:
        SearchConfig.model_validate(
            {"learning_rate": [1e-2, 1e-3], "dropout": [0.1, 1.5], "schedule": ["stepped"]}
        )
    said = str(caught.value)
    assert "learning_rate: 0.01 is not below 0.001" in said
    assert "dropout: 1.5: input should be less than 1" in said
    assert "schedule: 'stepped': input should be 'linear', 'cosine'" in said
    with pytest.raises(ValidationError, match="names no setting; give e"):
        SearchConfig()
