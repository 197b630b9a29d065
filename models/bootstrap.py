"""Paired grouped bootstrap: whole split groups, stratified by label, the same draws on any machine.

Legend: B replicates, G groups, K columns of per-group sums, N items.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from records.base import digest_of

NUM_REPLICATES = 10_000
SMALLEST_STRATUM = 20
"""Groups; a stratum of one never varies, one of two has half its variance, and bounds come out too
narrow (docs/adr/0010)."""
CHUNK_DRAWS = 200_000
"""Draws held at a time (1.6 MB, about a core's cache); the draws do not depend on it."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def replicate(
    groups: Sequence[str],
    labels: Sequence[str],
    columns_NK: Ints,
    statistic: Callable[[Ints], Floats],
    num_replicates: int = NUM_REPLICATES,
) -> Floats:
    """Sorted bootstrap replicates [B] of a statistic of column sums.

    Args:
        groups, labels: N each; whole groups are drawn, within the strata of equal label sets,
            rare ones together.
        columns_NK: integers, so that sums are exact in any order.
        statistic: sums [b, K] -> values [b].

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 8 and 13.
    """
    strata = _strata(groups, labels)
    ordered = sorted(strata, key=lambda group: (strata[group], group))
    place = {group: i for i, group in enumerate(ordered)}
    sums_GK = np.zeros((len(ordered), columns_NK.shape[1]), dtype=np.int64)
    np.add.at(sums_GK, [place[group] for group in groups], columns_NK)
    sizes = [len(list(same)) for _, same in groupby(strata[group] for group in ordered)]
    draws = _draws(digest_of(sorted(strata)), sizes, num_replicates)
    # float64 products are exact (and fast) while the sums stay below 2^53; integers always are
    is_small = int(np.abs(sums_GK).max(initial=0)) * len(ordered) < 2**53
    exact = sums_GK.astype(np.float64 if is_small else np.int64)
    values = [statistic((w.astype(exact.dtype) @ exact).astype(np.int64)) for w in draws]
    return np.sort(np.concatenate(values))


def bounds(sorted_values: Floats, alpha: float) -> tuple[float | None, float | None]:
    """One-sided percentile bounds: the floor(alpha (B + 1))-th value from either end.

    None, None where alpha is too small for B replicates.
    """
    rank = int(np.floor(alpha * (len(sorted_values) + 1)))
    if rank < 1:
        return None, None
    return float(sorted_values[rank - 1]), float(sorted_values[-rank])


def _strata(groups: Sequence[str], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The label set of each group; rare ones are one stratum, or join the smallest other one."""
    seen: dict[str, set[str]] = {}
    for group, label in zip(groups, labels, strict=True):
        seen.setdefault(group, set()).add(label)
    own = {group: tuple(sorted(found)) for group, found in seen.items()}
    sizes = Counter(own.values())
    large = [name for name in sorted(sizes) if sizes[name] >= SMALLEST_STRATUM]
    num_rare = sum(sizes.values()) - sum(sizes[name] for name in large)
    rare: tuple[str, ...] = ()
    if large and num_rare < SMALLEST_STRATUM:
        rare = min(large, key=lambda name: (sizes[name], name))
    kept = frozenset(large)
    return {group: name if name in kept else rare for group, name in own.items()}


def _draws(seed: str, sizes: list[int], num_replicates: int) -> Iterator[Ints]:
    """How often each group is drawn, [b, G] a chunk; groups lie in order of their strata."""
    source = np.random.Philox(key=int(seed[:32], 16))
    num_groups = sum(sizes)
    size_G = np.repeat(np.array(sizes, dtype=np.uint64), sizes)
    start_G = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    chunk = max(1, CHUNK_DRAWS // num_groups)
    for start in range(0, num_replicates, chunk):
        rows = min(chunk, num_replicates - start)
        raw = source.random_raw(rows * num_groups).reshape(rows, num_groups)
        # the modulo's bias is below G / 2^64
        cells = (raw % size_G).astype(np.int64)
        cells += start_G
        cells += np.arange(0, rows * num_groups, num_groups)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * num_groups)
        yield counts.reshape(rows, num_groups)
