"""What a training makes small.

Shapes: N rows, B rows of a batch, C labels, T positions, V the vocabulary.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable
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


def set_weights(config: TrainConfig, counts: Sequence[int], num_rows: int) -> list[list[float]]:
    """Weights [C, 2] of not carrying, and of carrying each label.

    N / (2 n) where balanced, so that both sides of a label count alike, and a rare label as much as
    a frequent one; the mean over the rows is one for each label.

    Args:
        config: the recipe's `train`.
        counts: rows that carry each of the C labels.
        num_rows: N.
    """
    if config.class_weights == "equal":
        return [[1.0, 1.0] for _ in counts]
    sides = ((num_rows - count, count) for count in counts)
    return [[num_rows / (2 * max(n, 1)) for n in side] for side in sides]


def label_set_loss(smoothing: float, weights: Sequence[Sequence[float]]) -> Loss:
    """Binary cross-entropy of every label, over the decisions (rows times labels) of a whole step.

    Args:
        smoothing: the share of a decision's mass that is spread over yes and no: 1 becomes
            1 - smoothing / 2, and 0 becomes smoothing / 2.
        weights: [C, 2], see `set_weights`.
    """
    weights_C2 = torch.tensor(weights, dtype=torch.float32)

    def loss(
        outputs: Any, labels_BC: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        logits_BC = outputs["logits"].float()
        targets_BC = labels_BC * (1 - smoothing) + smoothing / 2
        loss_BC = functional.binary_cross_entropy_with_logits(
            logits_BC, targets_BC, reduction="none"
        )
        no_C, yes_C = weights_C2.to(labels_BC.device).unbind(dim=1)
        total = (loss_BC * torch.where(labels_BC > 0, yes_C, no_C)).sum()
        return total / (labels_BC.numel() if num_items_in_batch is None else num_items_in_batch)

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
        logits_NV = outputs["logits"].flatten(0, 1).float()
        total: torch.Tensor
        total = _SmoothedTotal.apply(logits_NV, labels_BT.flatten(), smoothing)  # type: ignore[no-untyped-call]
        count = (labels_BT != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return total / count

    return loss


class _SmoothedTotal(torch.autograd.Function):
    """`cross_entropy(..., reduction="sum")` with its gradient made in place, in the forward pass.

    PyTorch's keeps the log-probabilities and makes three more tensors of N x V from them, which is
    a tenth of a small model's step on a processor (benchmarks/step_parts.py, docs/log.md).
    """

    @staticmethod
    def forward(
        ctx: Any, logits_NV: torch.Tensor, labels_N: torch.Tensor, smoothing: float
    ) -> torch.Tensor:
        size = logits_NV.shape[1]
        logp_NV = functional.log_softmax(logits_NV, dim=1)
        kept_N = labels_N != IGNORED
        at = torch.arange(len(labels_N), device=labels_N.device), labels_N.where(kept_N, 0)
        right_N, mean_N = logp_NV[at], logp_NV.mean(dim=1)
        loss_N = -(1 - smoothing) * right_N - smoothing * mean_N
        if ctx.needs_input_grad[0]:
            gradient_NV = logp_NV.exp_().sub_(smoothing / size)  # softmax - smoothed target
            gradient_NV[at] -= 1 - smoothing
            ctx.save_for_backward(gradient_NV.mul_(kept_N[:, None]))
        return loss_N.where(kept_N, 0).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient_NV,) = ctx.saved_tensors
        return gradient_NV * slope, None, None
