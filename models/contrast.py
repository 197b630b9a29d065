"""Few rows: pull texts of one label together, push others apart, then fit a head on what comes out.

Of B rows of a batch every pair is compared, so that sixteen rows give 120 comparisons. The model
that is saved is an ordinary classifier, whose last layer holds the fitted head.

Source: Tunstall et al. 2022, Efficient Few-Shot Learning Without Prompts (SetFit).
Shapes: B rows, T tokens, F features, C labels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from models.config import TrainConfig
from models.features import HeadInput
from models.loss import Loss

Collate = Callable[[Sequence[Any]], dict[str, torch.Tensor]]

STRENGTH = 1.0
"""Inverse regularisation of the head, as SetFit has it."""

BATCH_SIZE = 32


def contrastive_loss(features: HeadInput) -> Loss:
    """Squared distance of cosine similarity from 1 for equal labels and from 0 for others.

    Pairs of either kind weigh half, however many there are. A step is one batch: rows of two would
    not meet.
    """

    def loss(
        outputs: Any, labels_B: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        unit_BF = functional.normalize(features.of_batch_BF.float(), dim=-1)
        pairs = torch.triu_indices(len(labels_B), len(labels_B), offset=1)
        similarity = (unit_BF @ unit_BF.T)[pairs[0], pairs[1]]
        is_same = labels_B[pairs[0]] == labels_B[pairs[1]]
        halves = [(1 - similarity[is_same]) ** 2, similarity[~is_same] ** 2]
        total = sum((half.mean() for half in halves if len(half)), similarity.sum() * 0) / 2
        return total * len(labels_B) / (num_items_in_batch or len(labels_B))

    return loss


def head_fitter(
    features: HeadInput, collate: Collate, rows: Sequence[Any], config: TrainConfig
) -> Callable[[Any], None]:
    """A function that fits the head of a model by logistic regression over its features of `rows`."""
    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))

    def fit(model: Any) -> None:
        from sklearn.linear_model import LogisticRegression

        found, labels = [], []
        with torch.inference_mode():
            for start in range(0, len(ordered), BATCH_SIZE):
                batch = collate(ordered[start : start + BATCH_SIZE])
                labels += batch.pop("labels").tolist()
                model(**{k: v.to(model.device) for k, v in batch.items()})
                found.append(features.of_batch_BF.float().cpu())
        head = LogisticRegression(
            C=STRENGTH,
            max_iter=1000,
            fit_intercept=features.last_layer.bias is not None,
            class_weight="balanced" if config.class_weights == "balanced" else None,
        ).fit(torch.cat(found).double().numpy(), labels)
        _write_head(features.last_layer, head)

    return fit


@torch.no_grad()
def _write_head(layer: torch.nn.Linear, head: Any) -> None:
    """Put the regression's coefficients into the layer; of two labels it has but one row."""
    weight_CF, bias_C = torch.tensor(head.coef_), torch.tensor(head.intercept_)
    if len(weight_CF) == 1:
        weight_CF = torch.cat([-weight_CF / 2, weight_CF / 2])
        bias_C = torch.cat([-bias_C / 2, bias_C / 2]) if bias_C.dim() and len(bias_C) else bias_C
    layer.weight.copy_(weight_CF.to(layer.weight))
    if layer.bias is not None:
        layer.bias.copy_(bias_C.to(layer.bias))
