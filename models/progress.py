"""Where a training stands; no torch is loaded for it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training stands."""

    step: int
    num_steps: int
    loss: float
    num_tokens: int
    """Trained on so far, before a checkpoint too."""
    num_tokens_left: int
    tokens_per_s: float
    seconds_left: float
