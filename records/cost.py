"""What work takes, and how much of it a recipe allows."""

from typing import Self

from pydantic import Field, model_validator

from records.base import Record, is_empty


class Spent(Record):
    """What some work took. Of energy it is said how it was found."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of all cores together, and of child processes once they ended."""
    gpu_s: float = Field(0.0, exclude_if=is_empty)
    """Wall seconds in which models computed on CUDA cards, times the cards."""
    num_tokens: int = Field(0, exclude_if=is_empty)
    """Trained on."""
    energy_wh: float = Field(0.0, exclude_if=is_empty)
    energy_method: str = Field("", exclude_if=is_empty)

    def __add__(self, other: "Spent") -> "Spent":
        methods = dict.fromkeys(m for m in (self.energy_method, other.energy_method) if m)
        return Spent(
            wall_s=self.wall_s + other.wall_s,
            cpu_s=self.cpu_s + other.cpu_s,
            gpu_s=self.gpu_s + other.gpu_s,
            num_tokens=self.num_tokens + other.num_tokens,
            energy_wh=self.energy_wh + other.energy_wh,
            energy_method="; ".join(methods),
        )

    def times(self, factor: float) -> "Spent":
        """So many times as much of everything."""
        return Spent(
            wall_s=self.wall_s * factor,
            cpu_s=self.cpu_s * factor,
            gpu_s=self.gpu_s * factor,
            num_tokens=round(self.num_tokens * factor),
            energy_wh=self.energy_wh * factor,
            energy_method=self.energy_method,
        )


class StepCost(Spent):
    """What one step of the flow took."""

    step: str
    peak_memory_bytes: int
    """The most that this process, or one of its children, held at once up to the step's end."""


class Budget(Record):
    """The `budget` part of a recipe: what one run may take, and with it what earlier runs spent on a
    training that it continues. Over it, the run stops with exit code 2 and promotes nothing; what it
    finished is kept, and a run with more goes on from there."""

    wall_s: float | None = Field(
        None, gt=0, description="Seconds of the run's steps; waiting for a person is none."
    )
    cpu_s: float | None = Field(None, gt=0, description="Processor seconds, of all cores together.")
    energy_wh: float | None = Field(
        None, gt=0, description="Watt-hours, measured or estimated as the report says."
    )
    tokens: int | None = Field(
        None, ge=1, description="Tokens trained on; trials of a search and of candidates count."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"limits nothing; give one of {', '.join(type(self).model_fields)}")
        return self

    def excess(self, spent: Spent) -> str:
        """What is over which limit, in words; empty: nothing is."""
        taken = {
            "wall_s": (spent.wall_s, "s"),
            "cpu_s": (spent.cpu_s, "processor seconds"),
            "energy_wh": (spent.energy_wh, "Wh"),
            "tokens": (spent.num_tokens, "tokens"),
        }
        limits = self.model_dump(exclude_none=True)
        over = {name: limit for name, limit in limits.items() if taken[name][0] > limit}
        return " and ".join(
            f"{_number(taken[name][0])} {taken[name][1]} against budget.{name}={limit:.12g}"
            for name, limit in over.items()
        )


def _number(value: float) -> str:
    """Whole from a hundred on, else four significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"
