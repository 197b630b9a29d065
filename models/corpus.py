"""Corpus metrics as functions of summed per-item integers: no metric is a mean of item scores.

The gate draws whole groups, sums their integers and asks for the metric of the sums, which is what
the library itself would say of the drawn corpus. Scores are shares: 0.41 is 41 BLEU.

Legend: B sums, K columns of integers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2
MOST = 2**45
"""A larger count of one item is an error; the bound keeps sums exact."""
MICRO = 1e6
"""Losses of texts are summed as integers of 1e-6 nats, so that no order of addition shows."""


class CorpusMetric(NamedTuple):
    """How a metric follows from sums, and which integers an item can have."""

    num_columns: int
    value: Callable[[Ints], Floats]
    """Sums [B, K] -> values [B]."""
    is_possible: Callable[[Ints], Bools]
    """Integers per item [B, K] -> whether they contradict each other nowhere."""
    is_generated: bool
    """Whether the model wrote a text, whose digest must then be there."""


def bleu(sums: Ints) -> Floats:
    """BLEU of [hypothesis length, reference length, matches 1..4, n-grams 1..4].

    Source: Papineni et al. (2002); smoothing `exp` as in sacrebleu's `BLEU.compute_bleu`, which a
    test holds this against.
    """
    length, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + BLEU_ORDER], sums[:, 2 + BLEU_ORDER :]
    smooth = np.ones(len(sums))
    log_precision = np.zeros(len(sums))
    for n in range(BLEU_ORDER):
        is_missed = (matches[:, n] == 0) & (totals[:, n] > 0)
        smooth = np.where(is_missed, smooth * 2, smooth)
        share = np.where(is_missed, 1 / smooth, matches[:, n]) / np.maximum(totals[:, n], 1)
        log_precision += np.log(np.where(totals[:, n] > 0, share, 1.0))
    gap = 1 - reference / np.maximum(length, 1)
    penalty = np.where(length < reference, np.exp(np.minimum(gap, 0)), 1.0)
    is_defined = matches.any(axis=1) & (totals > 0).all(axis=1)
    return np.asarray(np.where(is_defined, penalty * np.exp(log_precision / BLEU_ORDER), 0.0))


def chrf(sums: Ints) -> Floats:
    """chrF2 of [hypothesis, reference, matches] for character n-grams of each order 1..6.

    Source: Popovic (2015), with the effective order of sacrebleu's `CHRF._compute_f_score`, which a
    test holds this against.
    """
    hypothesis, reference, matches = (sums[:, k::3].astype(np.float64) for k in range(3))
    counts = (hypothesis > 0) & (reference > 0)
    order = np.maximum(counts.sum(axis=1), 1)
    ours, theirs = np.maximum(hypothesis, 1), np.maximum(reference, 1)
    precision = np.where(counts, matches / ours, 0.0).sum(axis=1) / order
    recall = np.where(counts, matches / theirs, 0.0).sum(axis=1) / order
    below = CHRF_BETA**2 * precision + recall
    score = (1 + CHRF_BETA**2) * precision * recall / np.where(below > 0, below, 1.0)
    return np.asarray(score)


def micro_f1(sums: Ints) -> Floats:
    """Micro-F1 of [labels carried, labels given, both]: 2 tp / (2 tp + fp + fn), 0 where there are none.

    Source: van Rijsbergen (1979), Information Retrieval, chapter 7; scikit-learn's `f1_score` with
    average="micro" and zero_division=0, which a test holds this against.
    """
    return np.asarray(2 * sums[:, 2] / np.maximum(sums[:, 0] + sums[:, 1], 1))


def micro_mean(sums: Ints) -> Floats:
    """Mean of [sum in 1e-6, count]: nats per token or byte, or a score that is a mean over items."""
    return np.asarray(sums[:, 0] / (np.maximum(sums[:, 1], 1) * MICRO))


def share(sums: Ints) -> Floats:
    """Share of [right, 1]."""
    return np.asarray(sums[:, 0] / np.maximum(sums[:, 1], 1))


def _bleu_is_possible(rows: Ints) -> Bools:
    matches, totals = rows[:, 2 : 2 + BLEU_ORDER], rows[:, 2 + BLEU_ORDER :]
    grams = np.maximum(rows[:, :1] - np.arange(BLEU_ORDER), 0)
    return np.asarray((matches <= totals).all(axis=1) & (totals == grams).all(axis=1))


def _chrf_is_possible(rows: Ints) -> Bools:
    hypothesis, reference, matches = rows[:, 0::3], rows[:, 1::3], rows[:, 2::3]
    return np.asarray((matches <= np.minimum(hypothesis, reference)).all(axis=1))


def _share_is_possible(rows: Ints) -> Bools:
    return np.asarray((rows[:, 0] <= 1) & (rows[:, 1] == 1))


def _score_is_possible(rows: Ints) -> Bools:
    return np.asarray((rows[:, 0] >= 0) & (rows[:, 0] <= MICRO) & (rows[:, 1] == 1))


def _loss_is_possible(rows: Ints) -> Bools:
    return np.asarray(rows[:, 1] > 0)


CORPUS_METRICS: dict[str, CorpusMetric] = {
    "bleu": CorpusMetric(2 + 2 * BLEU_ORDER, bleu, _bleu_is_possible, is_generated=True),
    "chrf": CorpusMetric(3 * CHRF_ORDER, chrf, _chrf_is_possible, is_generated=True),
    "loss_per_token": CorpusMetric(2, micro_mean, _loss_is_possible, is_generated=False),
    "exact_match": CorpusMetric(2, share, _share_is_possible, is_generated=True),
    "rouge_l": CorpusMetric(2, micro_mean, _score_is_possible, is_generated=True),
    "loss_per_byte": CorpusMetric(2, micro_mean, _loss_is_possible, is_generated=False),
}


def corpus_figures(statistics: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, float]:
    """Every metric of a whole set of items."""
    return {
        name: float(CORPUS_METRICS[name].value(as_array(rows).sum(axis=0, keepdims=True))[0])
        for name, rows in statistics.items()
    }


def as_array(rows: Sequence[Sequence[int]]) -> Ints:
    """Integers per item, [N, K]."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)
