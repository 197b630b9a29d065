"""Figures that production reports of a champion, and when their fall counts."""

from pydantic import Field

from records.base import Record


class LivePolicy(Record):
    """The `live` part of a recipe."""

    metric: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="The figure to be watched; absent: the gate's own metric.",
    )
    reference: float | None = Field(
        None,
        description="What it is held against; absent: the champion's own figure on the test split "
        "that it was promoted on.",
    )
    max_drop: float = Field(
        0.05, gt=0, description="Smaller falls below the reference start nothing (losses: rises)."
    )
    num_reports: int = Field(
        3,
        ge=2,
        le=1000,
        description="So many reports in a row, all of this champion, must lie beyond max_drop.",
    )


class Reported(Record):
    """One figure from production."""

    name: str
    """Registered model."""
    metric: str
    value: float
    version: str
    """Who was champion when it came."""
    model_digest: str
    actor: str
    time: str
    """RFC 3339, UTC."""


class Judged(Record):
    """What a new report means."""

    reference: float | None
    """None: nothing is known to hold it against."""
    num_beyond: int = 0
    """Latest reports in a row, of this champion, that lie beyond the limit."""
    is_fall: bool = False
    """Whether a run is to be started now."""
