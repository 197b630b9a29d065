"""The power table against full enumeration and simulation."""

import numpy as np
import pytest
from scipy.stats import multinomial

from models.power import chance_of_passing, power_table
from models.statistics import tango_bounds
from records.policy import GatePolicy
from tests.models.test_statistics import SIZES, lower_bounds, simulate

POLICY = GatePolicy(minimum=0.8, margin=0.02)


@pytest.mark.parametrize(("num_items", "discordance"), SIZES)
@pytest.mark.parametrize("rule", ["superior", "non_inferior"])
def test_power_table_agrees_with_simulation(num_items: int, discordance: float, rule: str) -> None:
    policy = POLICY.model_copy(update={"rule": rule})
    (row,) = power_table(policy, num_items, (discordance,))
    limit = -policy.margin if rule == "non_inferior" else 0.0
    outcomes = simulate(num_items, discordance, 0.0, seed=num_items + 7)
    passed = (lower_bounds(outcomes, num_items, alpha=0.025) > limit).mean()
    assert row.chance == pytest.approx(
        passed, abs=0.005 + 3 * (passed * (1 - passed) / 1000) ** 0.5
    )


@pytest.mark.parametrize(("margin", "gain"), [(0.0, 0.0), (0.05, 0.0), (0.05, -0.05), (0.02, 0.1)])
def test_chance_is_the_full_enumeration_of_the_trinomial(margin: float, gain: float) -> None:
    n, discordance = 40, 0.2
    wins, losses = (grid.ravel() for grid in np.indices((n + 1, n + 1)))
    possible = wins + losses <= n
    wins, losses = wins[possible], losses[possible]
    win = (discordance + gain) / 2
    chances = multinomial.pmf(
        np.stack([wins, losses, n - wins - losses], axis=1), n, [win, discordance - win, 0.8]
    )
    passed = tango_bounds(wins, losses, n, 0.05)[0] > -margin
    exact = chance_of_passing(
        num_items=n, discordance=discordance, margin=margin, alpha=0.05, gain=gain
    )
    assert exact == pytest.approx(float(chances[passed].sum()), abs=1e-12)


@pytest.mark.parametrize(("num_items", "discordance"), SIZES)
def test_a_loss_of_the_margin_passes_at_most_alpha_exactly(
    num_items: int, discordance: float
) -> None:
    margin = min(0.02, discordance)
    for alpha, most in ((0.05, 0.056), (0.025, 0.0275)):
        for limit in (0.0, margin):
            chance = chance_of_passing(
                num_items=num_items, discordance=discordance, margin=limit, alpha=alpha, gain=-limit
            )
            assert chance <= most


def test_items_and_margin_for_80_percent_reach_80_percent() -> None:
    (row,) = power_table(POLICY, 400, (0.04,))
    assert row.chance < 0.8 < power_table(POLICY, row.items_for_80, (0.04,))[0].chance + 1e-9
    wider = POLICY.model_copy(update={"margin": row.margin_for_80 + 1e-6})
    assert power_table(wider, 400, (0.04,))[0].chance >= 0.8
    narrower = POLICY.model_copy(update={"margin": row.margin_for_80 - 1e-3})
    assert power_table(narrower, 400, (0.04,))[0].chance < 0.8


def test_an_equal_model_passes_superior_by_luck_only() -> None:
    for row in power_table(POLICY.model_copy(update={"rule": "superior"}), 2000):
        assert row.chance <= 0.0275
        assert row.items_for_80 == 0
        assert row.say_items("superior") == "never"


def test_items_for_80_percent_are_said_in_words_where_there_is_no_number() -> None:
    (row,) = power_table(POLICY, 400, (0.04,))
    assert row.say_items("non_inferior") == f"{row.items_for_80:,}"
    (narrow,) = power_table(POLICY.model_copy(update={"margin": 1e-5}), 400, (0.04,))
    assert narrow.say_items("non_inferior") == "over 10 million"


def test_power_table_is_empty_for_log_loss_and_zero_without_items() -> None:
    assert power_table(POLICY.model_copy(update={"metric": "log_loss"}), 400) == ()
    assert [row.chance for row in power_table(POLICY, 0)] == [0.0, 0.0, 0.0]
