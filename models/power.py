"""What a test split can show, said before training: the chance that an equal model passes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from models.statistics import normal_quantile, rounded, tango_statistic
from records.document import PowerRow
from records.policy import GatePolicy

MOST_ITEMS = 10_000_000
TARGET = 0.8


def power_table(
    policy: GatePolicy, num_items: int, discordances: Sequence[float] = (0.01, 0.04, 0.1)
) -> tuple[PowerRow, ...]:
    """One row per discordance: the chance that a model exactly as good as the champion passes.

    It is exact (trinomial) for accuracy, the policy's champion rule and a first attempt; floor,
    slices and anchor come on top. macro-F1 is said to behave as accuracy does; losses and
    corpus metrics have no discordance and an empty table.

    Under `superior` an equal model passes only by luck: `items_for_80` is 0, and `margin_for_80`
    is the margin with which `non_inferior` would pass it.

    Args:
        num_items: items of the test split, one per group.
        discordances: shares of items on which the two models differ in correctness, in (0, 1].
    """
    if policy.metric not in ("accuracy", "macro_f1"):
        return ()
    return tuple(_row(policy, num_items, discordance) for discordance in discordances)


def chance_of_passing(
    *, num_items: int, discordance: float, margin: float, alpha: float, gain: float = 0.0
) -> float:
    """Chance that Tango's lower bound exceeds -margin, summed over the trinomial.

    Args:
        gain: true difference of the challenger's accuracy; |gain| <= discordance.
        margin: 0 for the rule `superior`.
        alpha: of the one-sided bound, as used (0.025 for a first attempt at 0.05).
    """
    if num_items < 1:
        return 0.0
    middle, reach = num_items * discordance, 8 * (num_items * discordance) ** 0.5 + 8
    num_discordant = np.arange(
        max(0, int(middle - reach)), min(num_items, int(middle + reach)) + 1, dtype=np.int64
    )
    weights = binom.pmf(num_discordant, num_items, discordance)
    needed = _wins_needed(num_discordant, num_items, margin, alpha)
    share = (discordance + gain) / (2 * discordance)
    return float(np.sum(weights * binom.sf(needed - 1, num_discordant, share)))


def _wins_needed(
    num_discordant: NDArray[np.int64], num_items: int, margin: float, alpha: float
) -> NDArray[np.int64]:
    """Fewest wins among so many discordant items that pass; one more than all where none do."""
    z = normal_quantile(alpha)
    low, high = np.zeros_like(num_discordant), num_discordant + 1
    while np.any(low < high):
        middle = (low + high) // 2
        statistic = tango_statistic(middle, num_discordant - middle, num_items, -margin)
        is_enough = statistic > z
        low, high = np.where(is_enough, low, middle + 1), np.where(is_enough, middle, high)
        low = np.minimum(low, high)
    return high


def _row(policy: GatePolicy, num_items: int, discordance: float) -> PowerRow:
    alpha, is_superior = policy.alpha / 2, policy.rule == "superior"
    margin = 0.0 if is_superior else policy.margin
    chance = chance_of_passing(
        num_items=num_items, discordance=discordance, margin=margin, alpha=alpha
    )
    return PowerRow(
        discordance=discordance,
        num_items=num_items,
        chance=rounded(chance),
        items_for_80=0 if is_superior else _items_needed(discordance, margin, alpha),
        margin_for_80=rounded(_margin_needed(num_items, discordance, alpha)),
    )


def _items_needed(discordance: float, margin: float, alpha: float) -> int:
    """Items from which the chance reaches 80 %, by bisection; 0 past ten million.

    The chance climbs in small saw teeth, so a few items fewer may do by luck.
    """

    def passes(num_items: int) -> bool:
        chance = chance_of_passing(
            num_items=num_items, discordance=discordance, margin=margin, alpha=alpha
        )
        return chance >= TARGET

    if not passes(MOST_ITEMS):
        return 0
    low, high = 0, MOST_ITEMS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _margin_needed(num_items: int, discordance: float, alpha: float) -> float:
    """Smallest margin with an 80 % chance; 1 where there are no items."""
    low, high = 0.0, 1.0
    for _ in range(30):
        margin = (low + high) / 2
        chance = chance_of_passing(
            num_items=num_items, discordance=discordance, margin=margin, alpha=alpha
        )
        low, high = (low, margin) if chance >= TARGET else (margin, high)
    return high
