"""What a search tried, for settings or among bases, and what came of it."""

from typing import Literal

from pydantic import Field, JsonValue

from records.base import Record, is_empty

State = Literal["finished", "cut", "diverged"]
"""cut: worse than half of the earlier ones at the same step, or of its round."""


class Trial(Record):
    """One training with other settings, or the short trainings of one base. It saw train and
    validation, never the test split."""

    number: int
    seed: int
    settings: dict[str, JsonValue]
    """What differs from the recipe; empty: the recipe's own settings."""
    state: State
    points: tuple[tuple[int, float], ...]
    """(step, validation metric), as they came; of a base, one of each round."""
    best_value: float | None
    wall_s: float


class LeftOut(Record):
    """A base that was not tried."""

    name: str
    why: str


class SearchResult(Record):
    """All trials of a search, and which one the challenger is trained by."""

    search_key: str
    metric: str
    trials: tuple[Trial, ...]
    best: int
    """Number of the best finished trial."""
    is_cut: bool = Field(False, exclude_if=is_empty)
    """Whether the time limit ended it before all was tried."""
    left_out: tuple[LeftOut, ...] = Field((), exclude_if=is_empty)
    """Bases that the data, or a limit, kept from being tried."""
    offered_for: str = Field("", exclude_if=is_empty)
    """What of the data the list of bases follows from; empty: the recipe's own list."""

    @property
    def winner(self) -> Trial:
        """The best trial."""
        return self.trials[self.best]
