"""One expectation: what Great Expectations is asked, and how its answer is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from records.personal import mask


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expectation of the suite."""

    name: str
    column: str
    """What a person would look at; empty for the whole table."""
    expectation: str
    """Class name in great_expectations.expectations."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    limit: str
    next_step: str
    blocking: bool = True
    told: Callable[[pd.DataFrame, Sequence[int]], str] | None = None
    """What was observed, of the frame and the index of its failed rows; None: counts and labels."""


def rest(share: float) -> float:
    """1 - share without the binary dust that would fail a share exactly at its limit."""
    return round(1 - share, 12)


def few(values: Iterable[object], limit: int = 10) -> str:
    """The first values, and how many more there are; personal data is masked."""
    names = [mask(str(value)) for value in values]
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
