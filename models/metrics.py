"""The figures of a classifier, from what it answered.

N items; labels are names. Every figure is a float; calibration and log-loss use natural logarithms.
"""

import math
from collections.abc import Sequence

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
