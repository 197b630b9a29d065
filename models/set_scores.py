"""Scorecards of models that give sets of labels, and the thresholds that make sets of probabilities.

Shapes: N items, C labels of the model, T labels of the test, G thresholds tried.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.label_scores import SMALLEST_PROBABILITY
from models.metrics import figures_of, set_figures
from models.predict import BATCH_RULE
from models.scoring import take_fingerprint
from models.tagger import HALF
from records.labels import read_labels, write_labels
from records.scores import Fingerprint, Scorecard, TestItems

MODULES = (
    "corpus", "device", "encode", "label_scores", "metrics", "multilabel", "predict", "scoring",
    "set_scores", "tagger",
)  # fmt: skip
"""Whose code can move a score."""
GRID = np.arange(1, 100) / 100
"""Thresholds tried: finer ones would learn the validation split by heart."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Sets = Sequence[Sequence[str]]


def fingerprint(items: TestItems) -> Fingerprint:
    """What two scorecards must share to be comparable."""
    return take_fingerprint(items, MODULES, BATCH_RULE)


def carried(answers: Sequence[str], labels: Sequence[str]) -> Bools:
    """Which of C labels each of N rows carries, (N, C); answers are sets in their one form."""
    sets = [frozenset(read_labels(answer)) for answer in answers]
    return np.array([[name in held for name in labels] for held in sets], dtype=bool)


def named_sets(labels: Sequence[str], given_NC: Bools) -> list[list[str]]:
    """The names of the labels that each of N rows is given."""
    return [
        [name for name, is_given in zip(labels, row, strict=True) if is_given] for row in given_NC
    ]


def tune_thresholds(probabilities_NC: Floats, carried_NC: Bools) -> list[float]:
    """Per label the threshold with the best F1; of equal ones that nearest to one half.

    Lipton et al. (2014), Optimal Thresholding of Classifiers to Maximize F1 Measure: the best one is
    half of the best F1 where probabilities are right, so one half is too high for rare labels.

    Args:
        probabilities_NC: of the validation rows.
        carried_NC: whether the rows have the label.

    Returns:
        C thresholds; one half for a label without rows.
    """
    columns = zip(probabilities_NC.T, carried_NC.T, strict=True)
    return [_best_threshold(p_N, y_N) if y_N.any() else HALF for p_N, y_N in columns]


def _best_threshold(p_N: Floats, y_N: Bools) -> float:
    said_GN = p_N >= GRID[:, None]
    f1_G = 2 * (said_GN & y_N).sum(axis=1) / (said_GN.sum(axis=1) + y_N.sum())
    best = max(range(len(GRID)), key=lambda g: (f1_G[g], -abs(GRID[g] - HALF)))
    return float(GRID[best])


def log_losses(
    probabilities_NC: Floats, labels: Sequence[str], true: Sets, names: Sequence[str]
) -> list[float]:
    """Mean binary cross-entropy over the T `names` for each item, in nats.

    A label that the model does not know has the smallest probability.
    """
    index = {name: i for i, name in enumerate(labels)}
    p_NT = np.full((len(true), len(names)), SMALLEST_PROBABILITY)
    for t, name in enumerate(names):
        if name in index:
            p_NT[:, t] = probabilities_NC[:, index[name]]
    p_NT = p_NT.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    y_NT = np.array([[name in held for name in names] for held in map(frozenset, true)], dtype=bool)
    costs_NT = -np.where(y_NT, np.log(p_NT), np.log1p(-p_NT))
    return [float(row.sum()) / max(1, len(names)) for row in costs_NT]


def confidences(probabilities_NC: Floats, given_NC: Bools) -> list[float]:
    """Probability of each whole set, its labels taken as independent, in (0, 1]."""
    p_NC = np.where(given_NC, probabilities_NC, 1 - probabilities_NC)
    return [float(p) for p in p_NC.prod(axis=1).clip(SMALLEST_PROBABILITY, 1)]


def validation_figures(
    probabilities_NC: Floats, labels: Sequence[str], answers: Sequence[str]
) -> dict[str, float]:
    """All figures on the validation split, by the thresholds that are best on it."""
    given_NC = probabilities_NC >= tune_thresholds(probabilities_NC, carried(answers, labels))
    true = [read_labels(answer) for answer in answers]
    names = sorted({name for held in true for name in held})
    return set_figures(
        true,
        named_sets(labels, given_NC),
        log_losses(probabilities_NC, labels, true, names),
        confidences(probabilities_NC, given_NC),
    )


def set_scorecard(
    *,
    role: str,
    model_digest: str,
    items: TestItems,
    labels: Sequence[str],
    probabilities: Floats,
    given: Bools,
    num_truncated: int = 0,
) -> Scorecard:
    """Per-item scores of one model.

    Args:
        role: challenger, champion, anchor or baseline:<name>.
        model_digest: of the artifact.
        items: N frozen test items.
        labels: the model's C labels, in the order of its outputs.
        probabilities: (N, C), rows as `items`.
        given: (N, C), which labels it answers.
        num_truncated: texts that were cut.
    """
    true = [items.labels_in(label) for label in items.labels]
    names = sorted({name for held in true for name in held})
    predicted = tuple(map(write_labels, named_sets(labels, given)))
    log_loss = tuple(log_losses(probabilities, labels, true, names))
    confidence = tuple(confidences(probabilities, given))
    return Scorecard(
        role=role,
        model_digest=model_digest,
        fingerprint=fingerprint(items),
        model_labels=tuple(labels),
        item_ids=items.item_ids,
        predicted=predicted,
        log_loss=log_loss,
        confidence=confidence,
        num_truncated=num_truncated,
        metrics=figures_of(items, predicted, log_loss, confidence),
    )
