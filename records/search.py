"""What a search tried, and what came of it."""

from typing import Literal

from pydantic import JsonValue

from records.base import Record

State = Literal["finished", "cut", "diverged"]
"""cut: worse than half of the earlier ones at the same step."""


class Trial(Record):
    """One training with other settings. It saw train and validation, never the test split."""

    number: int
    seed: int
    settings: dict[str, JsonValue]
    """What differs from the recipe; empty: the recipe's own settings."""
    state: State
    points: tuple[tuple[int, float], ...]
    """(step, validation metric), as they came."""
    best_value: float | None
    wall_s: float


class SearchResult(Record):
    """All trials of a search, and which one the challenger is trained by."""

    search_key: str
    metric: str
    trials: tuple[Trial, ...]
    best: int
    """Number of the best finished trial."""

    @property
    def winner(self) -> Trial:
        """The best trial."""
        return self.trials[self.best]
