"""Scorecards of models that answer labels: from probabilities to per-item scores."""

import math

import numpy as np

from models.metrics import UNKNOWN_LABEL_LOSS, figures
from models.predict import BATCH_RULE
from models.scoring import take_fingerprint
from records.scores import Fingerprint, Scorecard, TestItems

SMALLEST_PROBABILITY = 1e-12
MODULES = ("classification", "device", "encode", "label_scores", "metrics", "predict", "scoring")
"""Whose code can move a score."""


def fingerprint(items: TestItems) -> Fingerprint:
    """What two scorecards must share to be comparable."""
    return take_fingerprint(items, MODULES, BATCH_RULE)


def scorecard(
    *,
    role: str,
    model_digest: str,
    items: TestItems,
    labels: tuple[str, ...],
    probabilities: np.ndarray,
    num_truncated: int = 0,
) -> Scorecard:
    """Per-item scores of one model.

    Args:
        role: challenger, champion, anchor or baseline:<name>.
        model_digest: of the artifact.
        items: N frozen test items.
        labels: the model's C labels, in the order of its outputs.
        probabilities: (N, C), rows as `items`.
        num_truncated: texts that were cut.
    """
    index = {name: i for i, name in enumerate(labels)}
    best_N = probabilities.argmax(axis=1)
    predicted = tuple(labels[k] for k in best_N)
    confidence = tuple(float(probabilities[i, k]) for i, k in enumerate(best_N))
    log_loss = tuple(
        -math.log(max(float(probabilities[i, index[y]]), SMALLEST_PROBABILITY))
        if y in index
        else UNKNOWN_LABEL_LOSS
        for i, y in enumerate(items.labels)
    )
    return Scorecard(
        role=role,
        model_digest=model_digest,
        fingerprint=fingerprint(items),
        model_labels=labels,
        item_ids=items.item_ids,
        predicted=predicted,
        log_loss=log_loss,
        confidence=confidence,
        num_truncated=num_truncated,
        metrics=figures(items.labels, predicted, log_loss, confidence),
    )
