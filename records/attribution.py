"""Which places of a text speak for an answer. Places, not words: the text stays where it can be erased."""

from typing import TypeAlias

from records.base import Record


class Piece(Record):
    """Characters `start` to `end` of a text, and what they add to the answer's log-odds; of an answer
    in words, nats that it costs more without them."""

    start: int
    end: int
    value: float


class Attribution(Record):
    """Integrated gradients of one answer: the values add up to score - blank_score."""

    label: str
    """The answer that was asked about."""
    probability: float
    score: float
    """Log-odds of the label for the text."""
    blank_score: float
    """The same for a text of blanks of the same length."""
    pieces: tuple[Piece, ...]
    gap: float
    """How far the sum of all shares is from that difference."""
    tolerance: float
    num_steps: int

    @property
    def is_complete(self) -> bool:
        """Whether the shares explain the whole difference, within the tolerance."""
        return self.gap <= self.tolerance


class Omission(Record):
    """What an answer in words costs, and what it costs more without each word of what was asked."""

    nats: float
    pieces: tuple[Piece, ...]
    """Places of the text, or of a dialogue's last question."""


Reason: TypeAlias = Attribution | Omission
