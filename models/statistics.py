"""Bounds and tests for 0/1 outcomes: Clopper-Pearson, Tango's score, McNemar, Holm.

Wins are items that only the challenger got right, losses those that only the other model did.
A difference is the challenger's accuracy minus the other's. Counts may be fractions: `models.
intervals` scales them down where items repeat a group and are not independent.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betaincinv, ndtr, ndtri

Floats = NDArray[np.float64]

DECIMALS = 9
"""Every figure of a decision is rounded to 1e-9, so that a replay agrees on any machine."""
BISECTIONS = 60
"""Halvings of an interval of length 2: past the precision of float64."""


def rounded(value: float) -> float:
    """`value` to 1e-9, without a negative zero."""
    return round(float(value), DECIMALS) + 0.0


def normal_quantile(alpha: float) -> float:
    """The z that a standard normal exceeds with chance `alpha`."""
    return -float(ndtri(alpha))


def clopper_pearson(num_correct: float, num_items: float, alpha: float) -> tuple[float, float]:
    """Exact one-sided bounds (lower, upper) of a share, each at `alpha`.

    Args:
        num_correct: 0 <= num_correct <= num_items.
        num_items: > 0.

    Source: Clopper and Pearson (1934), Biometrika 26:404; as quantiles of the beta distribution.
    """
    wrong = num_items - num_correct
    lower = betaincinv(num_correct, wrong + 1, alpha) if num_correct > 0 else 0.0
    upper = betaincinv(num_correct + 1, wrong, 1 - alpha) if wrong > 0 else 1.0
    return float(lower), float(upper)


def tango_statistic(
    wins: ArrayLike, losses: ArrayLike, num_items: ArrayLike, difference: ArrayLike
) -> Floats:
    """Score statistic of "the true difference is `difference`"; standard normal if it is.

    It falls as `difference` grows. Arrays broadcast together.

    Source: Tango (1998), Statistics in Medicine 17:891, equations 4 to 6, with the restricted
    maximum-likelihood estimate of the chance of a loss.
    """
    b, c, n, d = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (wins, losses, num_items, difference))
    )
    linear = -b - c + (2 * n - b + c) * d
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0.0))
    chance_of_loss = np.maximum((root - linear) / (4 * n), np.maximum(-d, 0.0))
    variance = n * (2 * chance_of_loss + d * (1 - d))
    distance = b - c - n * d
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    spread = np.sqrt(np.maximum(variance, 0.0))
    statistic: Floats = np.divide(distance, spread, out=certain, where=spread > 0)
    return statistic


def tango_bounds(
    wins: ArrayLike, losses: ArrayLike, num_items: ArrayLike, alpha: float
) -> tuple[Floats, Floats]:
    """One-sided score bounds (lower, upper) of the difference, each at `alpha`; arrays broadcast.

    With no discordant item they are -+ z^2 / (n + z^2): never zero, however alike the models.

    Source: Tango (1998), as for `tango_statistic`, whose root is found by bisection.
    """
    lower = _tango_lower(wins, losses, num_items, alpha)
    upper = -_tango_lower(losses, wins, num_items, alpha)
    return lower, upper


def _tango_lower(wins: ArrayLike, losses: ArrayLike, num_items: ArrayLike, alpha: float) -> Floats:
    b, c, n = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (wins, losses, num_items))
    )
    z = normal_quantile(alpha)
    low, high = np.full(b.shape, -1.0), (b - c) / n
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_excluded = tango_statistic(b, c, n, middle) > z
        low, high = np.where(is_excluded, middle, low), np.where(is_excluded, high, middle)
    return low


def harm_p(wins: float, losses: float, num_items: float, margin: float) -> float:
    """One-sided p of "the loss is at most `margin`", from Tango's statistic at that margin."""
    return float(ndtr(tango_statistic(wins, losses, num_items, -margin)))


def mcnemar_p(wins: int, losses: int) -> float:
    """Two-sided exact p of "wins and losses are equally likely"; 1 where no item is discordant.

    Source: McNemar (1947), Psychometrika 12:153, with the binomial distribution.
    """
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which hypotheses fall when the chance of any false one is to stay at most `alpha`.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    falls = [False] * len(p_values)
    by_size = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(by_size):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        falls[index] = True
    return tuple(falls)


def minimum_detectable_effect(
    discordance: float, num_items: float, alpha: float, power: float = 0.8
) -> float:
    """Smallest true difference that a one-sided paired test shows with chance `power`.

    Args:
        discordance: share of items on which the two models differ; it is raised to the effect
            where that is larger, because an effect needs that many discordant items.

    Source: Connor (1987), Biometrics 43:207, solved for the effect.
    """
    z_alpha, z_power = normal_quantile(alpha), normal_quantile(1 - power)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        effect = (low + high) / 2
        share = max(discordance, effect)
        needed = z_alpha * share**0.5 + z_power * (share - effect**2) ** 0.5
        low, high = (effect, high) if effect < needed / num_items**0.5 else (low, effect)
    return high
