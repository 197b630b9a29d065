"""Draws for the samples' generators, from `random.Random.random()` alone.

It is the one method whose sequence Python promises to keep, so that a seed gives the same rows on
every machine and version.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


def pick(rng: Random, values: Sequence[_T]) -> _T:
    """One of the values."""
    return values[int(rng.random() * len(values))]


def draw(rng: Random, values: Sequence[_T], num: int) -> list[_T]:
    """`num` different values."""
    left = list(values)
    return [left.pop(int(rng.random() * len(left))) for _ in range(num)]


def weighted(rng: Random, shares: dict[str, float]) -> str:
    """A name, each as often as its share of all."""
    point = rng.random() * sum(shares.values())
    for name, share in shares.items():
        point -= share
        if point < 0:
            return name
    return name
