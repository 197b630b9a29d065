"""The figures of a classifier, from what it answered.

N items; labels are names. Every figure is a float; calibration and log-loss use natural logarithms.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.corpus import micro_f1
from records.scores import TestItems

UNKNOWN_LABEL_LOSS = -math.log(1e-12)
"""Cost in nats of an item whose label the model cannot answer."""


def per_class_f1(labels: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """F1 of every label that occurs in either sequence; 0 where nothing of it was found."""
    scores = {}
    for name in sorted(set(labels) | set(predicted)):
        true = sum(y == name and p == name for y, p in zip(labels, predicted, strict=True))
        wrong = sum((y == name) != (p == name) for y, p in zip(labels, predicted, strict=True))
        scores[name] = 2 * true / (2 * true + wrong) if true else 0.0
    return scores


def calibration_error(
    confidence: Sequence[float], correct: Sequence[bool], *, num_bins: int = 10
) -> float:
    """Expected calibration error with equal-width bins (Guo et al. 2017, eq. 3); NaN stays NaN."""
    if not all(map(math.isfinite, confidence)):
        return math.nan
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(num_bins)]
    for value, is_right in zip(confidence, correct, strict=True):
        bins[min(int(value * num_bins), num_bins - 1)].append((value, is_right))
    gaps = (abs(sum(c for c, _ in b) - sum(r for _, r in b)) for b in bins if b)
    return sum(gaps) / len(correct)


def figures(
    labels: Sequence[str],
    predicted: Sequence[str],
    log_loss: Sequence[float],
    confidence: Sequence[float],
) -> dict[str, float]:
    """accuracy, macro_f1 (over the labels of the test), log_loss, ece, and f1:<label>.

    Raises:
        ValueError: no items.
    """
    if not labels:
        raise ValueError("there are no items to score")
    correct = [y == p for y, p in zip(labels, predicted, strict=True)]
    f1 = per_class_f1(labels, predicted)
    known = sorted(set(labels))
    return {
        "accuracy": sum(correct) / len(correct),
        "macro_f1": sum(f1[name] for name in known) / len(known),
        "log_loss": sum(log_loss) / len(log_loss),
        "ece": calibration_error(confidence, correct),
        **{f"f1:{name}": f1[name] for name in known},
    }


def set_figures(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    log_loss: Sequence[float],
    confidence: Sequence[float],
) -> dict[str, float]:
    """micro_f1, macro_f1 and hamming_loss over labels; accuracy and ece of whole sets; log_loss;
    and f1:<label>.

    macro_f1 and hamming_loss are over the labels of the test; hamming_loss counts answers of other
    labels, too.

    Args:
        labels, predicted: N sets of names.
        log_loss: mean over the labels of the test, per item.
        confidence: probability of each whole set that was answered.

    Raises:
        ValueError: no items.
    """
    if not labels:
        raise ValueError("there are no items to score")
    true, said, both = Counter[str](), Counter[str](), Counter[str]()
    for y, p in zip(labels, predicted, strict=True):
        true.update(y)
        said.update(p)
        both.update(set(y) & set(p))
    f1 = {name: 2 * both[name] / (true[name] + said[name]) for name in sorted(true)}
    correct = [set(y) == set(p) for y, p in zip(labels, predicted, strict=True)]
    num_wrong = true.total() + said.total() - 2 * both.total()
    sums = np.array([[true.total(), said.total(), both.total()]])
    return {
        "micro_f1": float(micro_f1(sums)[0]),
        "macro_f1": sum(f1.values()) / max(1, len(f1)),
        "accuracy": sum(correct) / len(correct),
        "hamming_loss": num_wrong / (len(labels) * max(1, len(f1))),
        "log_loss": sum(log_loss) / len(log_loss),
        "ece": calibration_error(confidence, correct),
        **{f"f1:{name}": value for name, value in f1.items()},
    }


def figures_of(
    items: TestItems,
    predicted: Sequence[str],
    log_loss: Sequence[float],
    confidence: Sequence[float],
) -> dict[str, float]:
    """The figures of items with one label each, or with a set of labels."""
    if not items.has_label_sets:
        return figures(items.labels, predicted, log_loss, confidence)
    true, said = ([items.labels_in(y) for y in part] for part in (items.labels, predicted))
    return set_figures(true, said, log_loss, confidence)
