"""A task made ready to be learned: model, rows, batches, loss and validation.

The Trainer is the same for all tasks; what it is fed, and how it is judged, is here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from models.loss import Loss

Row = Mapping[str, Any]
"""One encoded training row."""


class Lesson(Protocol):
    """What one training learns."""

    model: Any
    fresh_parts: tuple[str, ...]
    """Modules of the model whose weights the base did not bring."""
    tokenizer: Any
    rows: Sequence[Row]
    lengths: Sequence[int]
    """Tokens of each row; rows of one batch have similar ones."""
    num_truncated: dict[str, int]
    """Texts cut at their limit, by split."""
    figures: tuple[str, ...]
    """Names of what `validate` gives, in the order of the curve; train.metric is one of them."""
    loss_figure: str
    """The one that must stay finite."""

    loss: Loss
    """Over the answers of the whole optimiser step: accumulated batches are the big batch."""

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """One batch, padded to its longest row."""

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Figures on the validation split; `model` is in evaluation mode."""


def dropout_overrides(known: Any, dropout: float | None) -> dict[str, Any]:
    """The settings of a configuration that mean dropout, at another rate; none for None."""
    if dropout is None:
        return {}
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout",
             "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_rate")  # fmt: skip
    return {name: dropout for name in names if hasattr(known, name)}
