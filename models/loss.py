"""What a training makes small.

Shapes: B rows of a batch, C labels, T positions, V the vocabulary.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from models.config import TrainConfig

IGNORED = -100
"""The label of a position that is not learned, as PyTorch's cross-entropy has it."""
Loss = Callable[..., torch.Tensor]
"""(outputs, labels, num_items_in_batch) -> scalar, as the Trainer calls it."""


def class_weights(
    config: TrainConfig, labels: Sequence[str], names: tuple[str, ...]
) -> list[float]:
    """A weight per class: N / (C n_c) where balanced, so that their mean over the rows is one.

    Args:
        config: the recipe's `train`.
        labels: of the N training rows.
        names: C label names in the order of the model's outputs.
    """
    if config.class_weights == "equal":
        return [1.0] * len(names)
    counts = Counter(labels)
    return [len(labels) / (len(names) * counts[name]) for name in names]


def classification_loss(smoothing: float, weights: Sequence[float]) -> Loss:
    """Cross-entropy with label smoothing and class weights, over the rows of a whole step.

    It divides by the rows of the optimiser step, not of the batch: accumulated gradients are those
    of the big batch, whatever the weights.

    Args:
        smoothing: the share of a target's mass that is spread over all C labels.
        weights: C weights.
    """
    weights_C = torch.tensor(weights, dtype=torch.float32)

    def loss(
        outputs: Any, labels_B: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        logits_BC = outputs["logits"].float()
        loss_B = functional.cross_entropy(
            logits_BC, labels_B, reduction="none", label_smoothing=smoothing
        )
        total = (loss_B * weights_C.to(labels_B.device)[labels_B]).sum()
        return total / (len(labels_B) if num_items_in_batch is None else num_items_in_batch)

    return loss


def token_loss(smoothing: float) -> Loss:
    """Cross-entropy per learned position with label smoothing, over those of a whole step.

    A mean of the batches' means would weigh short texts more; this divides by the positions of the
    optimiser step.

    Args:
        smoothing: the share of a target's mass that is spread over the vocabulary.
    """

    def loss(
        outputs: Any, labels_BT: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        total = functional.cross_entropy(
            outputs["logits"].flatten(0, 1).float(),
            labels_BT.flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
            reduction="sum",
        )
        count = (labels_BT != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return total / count

    return loss
