"""The bounds against other implementations, published figures and simulation."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from models import bootstrap
from models.intervals import gain, pair, score
from models.statistics import (
    clopper_pearson,
    harm_p,
    holm,
    mcnemar_p,
    minimum_detectable_effect,
    rounded,
    tango_bounds,
    tango_statistic,
)
from records.decision import Interval
from records.policy import Metric
from records.scores import Scorecard
from tests.models.gate_records import card_of, items_of

Array = NDArray[Any]
SIZES = [(n, psi) for n in (50, 100, 400, 2000) for psi in (0.01, 0.04, 0.1)]
REPETITIONS = 1000
MOST_FALSE = 0.05 + 3 * (0.05 * 0.95 / REPETITIONS) ** 0.5


def simulate(num_items: int, discordance: float, true_gain: float, seed: int) -> Array:
    """Wins and losses of REPETITIONS test splits, [2, R]."""
    win = (discordance + true_gain) / 2
    chances = [win, discordance - win, 1 - discordance]
    return np.random.default_rng(seed).multinomial(num_items, chances, REPETITIONS)[:, :2].T


def ordered(interval: Interval) -> bool:
    """Whether the estimate lies between the bounds."""
    assert interval.lower is not None
    assert interval.estimate is not None
    assert interval.upper is not None
    return interval.lower < interval.estimate < interval.upper


def lower_bounds(outcomes: Array, num_items: int, alpha: float = 0.05) -> Array:
    """Each pair of wins and losses is bounded once."""
    pairs, inverse = np.unique(outcomes, axis=1, return_inverse=True)
    return tango_bounds(pairs[0], pairs[1], num_items, alpha)[0][inverse.ravel()]


@pytest.mark.parametrize(("num_items", "discordance"), SIZES)
def test_superior_is_false_at_most_5_percent_when_the_models_are_equal(
    num_items: int, discordance: float
) -> None:
    outcomes = simulate(num_items, discordance, 0.0, seed=num_items)
    assert (lower_bounds(outcomes, num_items) > 0).mean() <= MOST_FALSE


@pytest.mark.parametrize(("num_items", "discordance"), SIZES)
def test_non_inferior_is_false_at_most_5_percent_when_the_loss_is_the_margin(
    num_items: int, discordance: float
) -> None:
    margin = min(0.02, discordance)
    outcomes = simulate(num_items, discordance, -margin, seed=num_items + 1)
    assert (lower_bounds(outcomes, num_items) > -margin).mean() <= MOST_FALSE


def test_non_inferior_passes_often_when_the_models_are_equal_and_the_test_is_large() -> None:
    outcomes = simulate(2000, 0.04, 0.0, seed=3)
    assert (lower_bounds(outcomes, 2000) > -0.02).mean() > 0.95


@pytest.mark.parametrize(
    ("wins", "losses", "num_items"),
    [(12, 2, 50), (1, 7, 21), (48, 41, 549), (5, 0, 400), (0, 9, 2000)],
)
def test_tango_bounds_are_the_roots_of_the_quartic(wins: int, losses: int, num_items: int) -> None:
    # Yang, Sun and Hardin (2013), Statistics in Medicine 32:1336: the interval in closed form
    n, g, d, s = num_items, norm.isf(0.025) ** 2, wins - losses, wins + losses
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * d * (n / g + 1) * (4 * n / g + 1),
        2 * n * d**2 * (3 * n / g + 2) / g - n**2 * (s / g + 1),
        n * d * (2 * s / g + 1) - d**3 * (4 * n / g + 1) / g,
        d**2 * (d**2 / g - s) / g,
    ]
    roots = np.roots(quartic)
    real = roots[np.abs(roots.imag) < 1e-9].real
    lower, upper = tango_bounds(wins, losses, num_items, 0.025)
    assert (float(lower), float(upper)) == pytest.approx((real.min(), real.max()), abs=1e-8)


def test_tango_bounds_match_r() -> None:
    # R, PropCIs::scoreci.mp, 90 % interval of 48 and 41 discordant of 549 pairs
    lower, upper = tango_bounds(48, 41, 549, 0.05)
    assert (round(float(lower), 4), round(float(upper), 4)) == (-0.0157, 0.0414)


def test_tango_bounds_without_discordant_items_are_the_closed_form() -> None:
    z2 = norm.isf(0.05) ** 2
    lower, upper = tango_bounds(0, 0, 200, 0.05)
    assert float(lower) == pytest.approx(-z2 / (200 + z2), abs=1e-9)
    assert float(upper) == -float(lower)


@pytest.mark.parametrize("difference", [-0.3, -0.02, 0.0, 0.07, 0.4])
@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 0), (0, 4), (9, 5), (20, 30)])
def test_tango_statistic_agrees_with_a_numerical_likelihood(
    wins: int, losses: int, difference: float
) -> None:
    n = 80

    def cost(loss_chance: float) -> float:
        chances = np.array([loss_chance + difference, loss_chance])
        rest = 1 - chances.sum()
        counts = np.array([wins, losses, n - wins - losses])
        return -float((counts * np.log(np.maximum([*chances, rest], 1e-300))).sum())

    low, high = max(0.0, -difference), (1 - difference) / 2
    best = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    spread = (n * (2 * best + difference - difference**2)) ** 0.5
    expected = (wins - losses - n * difference) / spread if spread > 1e-3 else 0.0
    assert float(tango_statistic(wins, losses, n, difference)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("correct", "num_items"), [(0, 20), (7, 20), (20, 20), (912, 1000)])
def test_clopper_pearson_agrees_with_scipy(correct: int, num_items: int) -> None:
    expected = binomtest(correct, num_items).proportion_ci(0.90, method="exact")
    assert clopper_pearson(correct, num_items, 0.05) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (3, 9), (40, 40)])
def test_mcnemar_agrees_with_scipy(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar_p(wins, losses) == pytest.approx(expected)


def test_holm_stops_at_the_first_that_stands() -> None:
    assert holm([0.04, 0.001, 0.03, 0.011], 0.05) == (False, True, False, True)
    assert holm([], 0.05) == ()


def test_harm_is_shown_when_the_loss_is_far_beyond_the_margin_only() -> None:
    assert harm_p(0, 30, 200, 0.05) < 1e-3
    assert harm_p(0, 10, 200, 0.05) == pytest.approx(0.5, abs=1e-6)
    assert harm_p(5, 5, 200, 0.05) > 0.99


@pytest.mark.parametrize(("num_items", "discordance"), [(400, 0.04), (2000, 0.1)])
def test_minimum_detectable_effect_is_detected_in_80_percent(
    num_items: int, discordance: float
) -> None:
    effect = minimum_detectable_effect(discordance, num_items, 0.05)
    outcomes = simulate(num_items, discordance, -effect, seed=5)
    shown = tango_bounds(outcomes[0], outcomes[1], num_items, 0.05)[1] < 0
    assert shown.mean() == pytest.approx(0.8, abs=0.05)


def test_rounding_has_no_negative_zero() -> None:
    assert str(rounded(-1e-12)) == "0.0"


def test_bootstrap_bounds_are_the_stated_order_statistics() -> None:
    values = np.arange(1.0, 10_001.0)
    assert bootstrap.bounds(values, 0.05) == (500.0, 9501.0)
    assert bootstrap.bounds(values, 1e-5) == (None, None)


def test_bootstrap_agrees_with_the_normal_law_on_a_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1000, 500)
    replicates = bootstrap.replicate(
        [f"g{i}" for i in range(500)], ["x"] * 500, values[:, None], lambda sums: sums[:, 0] / 500
    )
    error = values.std() / 500**0.5
    lower, upper = bootstrap.bounds(replicates, 0.05)
    assert lower == pytest.approx(values.mean() - 1.645 * error, abs=0.1 * error)
    assert upper == pytest.approx(values.mean() + 1.645 * error, abs=0.1 * error)


def test_bootstrap_draws_whole_groups_within_their_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "SMALLEST_STRATUM", 1)
    groups, labels = ["a", "a", "b", "c", "c"], ["x", "x", "x", "y", "y"]
    columns = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    seen: set[tuple[int, int]] = set()

    def record(sums: Array) -> Array:
        seen.update((int(x), int(y)) for x, y in sums)
        return np.zeros(len(sums))

    bootstrap.replicate(groups, labels, columns, record, num_replicates=200)
    assert seen == {(2, 2), (3, 2), (4, 2)}


def test_bootstrap_draws_do_not_depend_on_the_order_of_items_or_the_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups, labels = [f"g{i}" for i in range(30)], ["x", "y", "y"] * 10
    columns = np.arange(30)[:, None]

    def total(sums: Array) -> Array:
        return sums[:, 0].astype(np.float64)

    first = bootstrap.replicate(groups, labels, columns, total, 500)
    monkeypatch.setattr(bootstrap, "CHUNK_DRAWS", 100)
    again = bootstrap.replicate(groups[::-1], labels[::-1], columns[::-1], total, 500)
    assert (first == again).all()


def false_gains(labels: list[str], metric: Metric, groups: list[str], num_trials: int) -> float:
    """How often one of two equally good models comes out as better, at 2.5 %."""
    rng = np.random.default_rng(7)
    names = sorted(set(labels))
    items = items_of(len(labels), groups=groups).model_copy(update={"labels": tuple(labels)})

    def card(role: str) -> Scorecard:
        right = {group: rng.random() < 0.8 for group in sorted(set(groups))}
        said = [
            y if right[g] else names[(names.index(y) + 1) % len(names)]
            for g, y in zip(groups, labels, strict=True)
        ]
        return card_of(items, role=role, predicted=said, model_labels=names)

    found = [gain(pair(items, card("a"), card("b")), metric, 0.025) for _ in range(num_trials)]
    return sum(one.lower is not None and one.lower > 0 for one in found) / num_trials


def test_many_rare_labels_do_not_make_the_bootstrap_too_sure() -> None:
    """A stratum of two items has half its variance: unmended, 11 % of equal models were better."""
    labels = [f"l{i % 100:03}" for i in range(200)]
    groups = [f"g{i}" for i in range(200)]
    assert false_gains(labels, "log_loss", groups, 150) <= 0.025 + 3 * (0.025 * 0.975 / 150) ** 0.5


def test_few_large_groups_do_not_make_the_score_interval_too_sure() -> None:
    """8 groups of 100 copies and 400 single items are 18 units: unmended, 38 % were better."""
    groups = [f"big{i // 100}" if i < 800 else f"g{i}" for i in range(1200)]
    labels = [("neg", "pos")[i % 2] for i in range(1200)]
    assert false_gains(labels, "accuracy", groups, 100) <= 0.025 + 3 * (0.025 * 0.975 / 100) ** 0.5


def test_the_score_interval_of_unequal_groups_is_that_of_fewer_units() -> None:
    """8 groups of 100 and 400 single items: (sum m)^2 / sum m^2 = 17.9, not 408."""
    groups = [f"big{i // 100}" if i < 800 else f"g{i}" for i in range(1200)]
    items = items_of(1200, groups=groups)
    paired = pair(items, card_of(items, range(1000, 1010)), card_of(items, range(900, 990)))
    units = 1200**2 / (8 * 100**2 + 400)
    share = units / 1200
    lower, upper = tango_bounds(90 * share, 10 * share, units, 0.05)
    found = gain(paired, "accuracy", 0.05)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= rounded(float(lower))
    assert found.upper >= rounded(float(upper))


def test_repeated_groups_widen_the_interval_as_if_each_group_were_one_item() -> None:
    single = items_of(200)
    double = items_of(
        400, labels=("neg", "neg", "pos", "pos"), groups=[f"g{i // 2}" for i in range(400)]
    )
    once = gain(pair(single, card_of(single, [3]), card_of(single, [5, 6])), "accuracy", 0.05)
    twice = gain(
        pair(double, card_of(double, [6, 7]), card_of(double, [10, 11, 12, 13])), "accuracy", 0.05
    )
    assert once.method == "tango"
    assert twice.method == "tango+bootstrap"
    assert twice.lower is not None
    assert once.lower is not None
    assert twice.lower <= once.lower


def test_macro_f1_bootstrap_reaggregates_from_items() -> None:
    items = items_of(300, labels=("neg", "pos", "neg"))
    paired = pair(items, card_of(items, range(30)), card_of(items, range(60)))
    for interval in (
        gain(paired, "macro_f1", 0.05),
        score(pair(items, paired.challenger), "macro_f1", 0.05),
    ):
        assert interval.method == "bootstrap"
        assert ordered(interval)
    own, other = (card_of(items, range(n)).metrics["macro_f1"] for n in (30, 60))
    assert gain(paired, "macro_f1", 0.05).estimate == pytest.approx(own - other, abs=1e-9)


def test_log_loss_gain_is_positive_when_the_loss_is_smaller() -> None:
    items = items_of(300)
    better, worse = card_of(items, range(10)), card_of(items, range(40))
    interval = gain(pair(items, better, worse), "log_loss", 0.05)
    assert interval.estimate == pytest.approx(
        worse.metrics["log_loss"] - better.metrics["log_loss"], abs=1e-9
    )
    assert interval.lower is not None
    assert interval.lower > 0
