"""A model's score, and its gain over another model, as intervals with one-sided bounds.

A gain is positive where the challenger is better, whatever the metric's direction.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import bootstrap
from models.corpus import CORPUS_METRICS, as_array, micro_f1
from models.statistics import (
    clopper_pearson,
    harm_p,
    mcnemar_p,
    minimum_detectable_effect,
    normal_quantile,
    rounded,
    tango_bounds,
)
from records.decision import MOST_FLIPS, Comparison, Interval
from records.policy import HIGHER_IS_BETTER, Metric
from records.scores import Scorecard, TestItems

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NANO = 1e9
"""Losses are summed as integers of 1e-9 nats, so that no machine's order of addition shows."""


@dataclass(frozen=True)
class Paired:
    """The same N items as two models answered them; `other` is None for one model's own score."""

    groups: list[str]
    labels: list[str]
    challenger: Scorecard
    other: Scorecard | None
    rows: Ints
    """Positions of the items in the scorecards, [N]."""
    labels_in: Callable[[str], tuple[str, ...]]
    """The labels that an item's label, or an answer, names: one, or those of a set."""

    @property
    def num_items(self) -> int:
        return len(self.rows)

    @property
    def num_units(self) -> float:
        """Independent units: groups of equal size count one each, unequal ones less.

        Source: Kish (1965), Survey Sampling, effective sample size (sum m)^2 / sum m^2.
        """
        return self.num_items**2 / sum(m * m for m in Counter(self.groups).values())

    @property
    def shrink(self) -> float:
        """Independent units per item: 1 where no two items share a group."""
        return self.num_units / self.num_items

    def correct(self, card: Scorecard) -> Bools:
        """Whether the model's answer is the label, or the whole set of labels, [N]."""
        return np.array(
            [card.predicted[i] == y for i, y in zip(self.rows, self.labels, strict=True)]
        )

    def answers(self, card: Scorecard) -> list[str]:
        """What the model answered to each item, [N]."""
        return [card.predicted[i] for i in self.rows]

    def lead(self, metric: Metric) -> Floats:
        """By how much the challenger's answer to each item beats the other's, [N]; -1, 0 or 1 for labels."""
        assert self.other is not None
        cards = (self.challenger, self.other)
        if metric not in CORPUS_METRICS:
            ours, theirs = (self.correct(card).astype(np.float64) for card in cards)
            return ours - theirs
        value = CORPUS_METRICS[metric].value
        ours, theirs = (value(as_array(card.statistics[metric])[self.rows]) for card in cards)
        return ours - theirs if HIGHER_IS_BETTER[metric] else theirs - ours

    def discordant(self, metric: Metric = "accuracy") -> tuple[int, int]:
        """Wins and losses; both 0 for a single model."""
        if self.other is None:
            return 0, 0
        lead = self.lead(metric)
        return int((lead > 0).sum()), int((lead < 0).sum())


def pair(
    items: TestItems,
    challenger: Scorecard,
    other: Scorecard | None = None,
    keep: Bools | None = None,
) -> Paired:
    """The items (those where `keep` [N] is true) with both models' scores."""
    rows = np.arange(len(items.item_ids)) if keep is None else np.flatnonzero(keep)
    groups = [items.groups[i] for i in rows]
    labels = [items.labels[i] for i in rows]
    return Paired(groups, labels, challenger, other, rows, items.labels_in)


def score(paired: Paired, metric: Metric, alpha: float) -> Interval:
    """The challenger's own score: Clopper-Pearson for accuracy, else grouped bootstrap."""
    if metric != "accuracy":
        return _bootstrapped(paired, metric, alpha)
    correct, scale = int(paired.correct(paired.challenger).sum()), paired.shrink
    lower, upper = clopper_pearson(correct * scale, paired.num_units, alpha)
    exact = _interval(correct / paired.num_items, lower, upper, "clopper-pearson")
    return exact if scale == 1 else _wider(exact, _bootstrapped(paired, metric, alpha))


def gain(paired: Paired, metric: Metric, alpha: float) -> Interval:
    """The challenger's gain over `other`: Tango's score interval for accuracy, else bootstrap.

    Where groups repeat, items are not independent: counts are scaled to the number of groups and
    the wider of score interval and grouped bootstrap holds (docs/adr/0001).
    """
    if metric != "accuracy":
        return _bootstrapped(paired, metric, alpha)
    wins, losses = paired.discordant()
    scale = paired.shrink
    lower, upper = tango_bounds(wins * scale, losses * scale, paired.num_units, alpha)
    tango = _interval((wins - losses) / paired.num_items, float(lower), float(upper), "tango")
    return tango if scale == 1 else _wider(tango, _bootstrapped(paired, metric, alpha))


def compare(
    paired: Paired, against: str, metric: Metric, interval: Interval, alpha: float
) -> Comparison:
    """Wins, losses, McNemar's p, flips (losses first) and what the test could have shown."""
    assert paired.other is not None
    wins, losses = paired.discordant(metric)
    return Comparison(
        against=against,
        num_items=paired.num_items,
        num_wins=wins,
        num_losses=losses,
        mcnemar_p=rounded(mcnemar_p(wins, losses)),
        minimum_detectable_effect=rounded(_detectable(paired, metric, interval, alpha)),
        flips=tuple(paired.challenger.item_ids[i] for i in _flips(paired, metric)),
    )


def _flips(paired: Paired, metric: Metric) -> list[int]:
    """Positions of the items that were answered differently, losses first."""
    lead = paired.lead(metric)
    if metric not in CORPUS_METRICS:
        return [*paired.rows[lead < 0], *paired.rows[lead > 0]]
    order = np.argsort(lead, kind="stable")
    lost, won = order[lead[order] < 0][:MOST_FLIPS], order[::-1][lead[order[::-1]] > 0][:MOST_FLIPS]
    return [*paired.rows[lost], *paired.rows[won]]


def harm(paired: Paired, metric: Metric, margin: float) -> float:
    """One-sided p of "the loss is at most `margin`": Tango's for accuracy, else the bootstrap's."""
    if metric == "accuracy":
        wins, losses = (count * paired.shrink for count in paired.discordant())
        return rounded(harm_p(wins, losses, paired.num_units, margin))
    columns, statistic = _columns(paired, metric)
    values = bootstrap.replicate(paired.groups, paired.labels, columns, statistic)
    return rounded((1 + int((values >= -margin).sum())) / (1 + len(values)))


def _detectable(paired: Paired, metric: Metric, interval: Interval, alpha: float) -> float:
    """From the discordance for accuracy, else from the width of the interval."""
    if metric == "accuracy" or interval.estimate is None or interval.lower is None:
        discordance = sum(paired.discordant()) / paired.num_items
        return minimum_detectable_effect(discordance, paired.num_units, alpha)
    width = interval.estimate - interval.lower
    return width * (1 + normal_quantile(0.2) / normal_quantile(alpha))


def _interval(estimate: float, lower: float | None, upper: float | None, method: str) -> Interval:
    return Interval(
        estimate=rounded(estimate),
        lower=None if lower is None else rounded(lower),
        upper=None if upper is None else rounded(upper),
        method=method,
    )


def _wider(first: Interval, second: Interval) -> Interval:
    """The lower of the lower bounds and the upper of the upper; None where either is."""
    lowers, uppers = (first.lower, second.lower), (first.upper, second.upper)
    return Interval(
        estimate=first.estimate,
        lower=None if lowers[0] is None or lowers[1] is None else min(lowers[0], lowers[1]),
        upper=None if uppers[0] is None or uppers[1] is None else max(uppers[0], uppers[1]),
        method=f"{first.method}+{second.method}",
    )


def _bootstrapped(paired: Paired, metric: Metric, alpha: float) -> Interval:
    columns, statistic = _columns(paired, metric)
    estimate = float(statistic(columns.sum(axis=0, keepdims=True))[0])
    values = bootstrap.replicate(paired.groups, paired.labels, columns, statistic)
    return _interval(estimate, *bootstrap.bounds(values, alpha), "bootstrap")


def _columns(paired: Paired, metric: Metric) -> tuple[Ints, Callable[[Ints], Floats]]:
    """Per-item integers [N, K], and the gain (or the score) that their sums [b, K] mean."""
    cards = [card for card in (paired.challenger, paired.other) if card is not None]
    if metric in CORPUS_METRICS:
        return _corpus_columns(paired, metric, cards)
    if metric in ("macro_f1", "micro_f1"):
        return _f1_columns(paired, metric, cards)
    ones = np.ones(paired.num_items, dtype=np.int64)
    if metric == "accuracy":
        values, unit = [paired.correct(card).astype(np.int64) for card in cards], 1.0
    else:
        losses = [np.array([card.log_loss[i] for i in paired.rows]) for card in cards]
        values, unit = [np.rint(loss * NANO).astype(np.int64) for loss in losses], NANO
        values.reverse()  # a gain is the other's loss less ours; alone it is ours

    def mean(sums: Ints) -> Floats:
        total = sums[:, 1] - (sums[:, 2] if len(cards) == 2 else 0)
        return np.asarray(total / (sums[:, 0] * unit), dtype=np.float64)

    return np.stack([ones, *values], axis=1), mean


def _corpus_columns(
    paired: Paired, metric: Metric, cards: list[Scorecard]
) -> tuple[Ints, Callable[[Ints], Floats]]:
    """The models' integers side by side; the metric of each one's sums, and their difference."""
    value, sign = CORPUS_METRICS[metric].value, 1 if HIGHER_IS_BETTER[metric] else -1
    blocks = [as_array(card.statistics[metric])[paired.rows] for card in cards]

    def gain_of(sums: Ints) -> Floats:
        values = [value(part) for part in np.split(sums, len(cards), axis=1)]
        return sign * (values[0] - values[1]) if len(values) == 2 else values[0]

    return np.concatenate(blocks, axis=1), gain_of


def _f1_columns(
    paired: Paired, metric: Metric, cards: list[Scorecard]
) -> tuple[Ints, Callable[[Ints], Floats]]:
    """Per label, or for micro-F1 of all labels together: true, and for each model answered and both.

    macro-F1 is over the labels of the items; micro-F1 counts answers of others, too.
    """
    is_micro = metric == "micro_f1"
    answers = [paired.answers(card) for card in cards] if is_micro else []
    true_sets = [frozenset(paired.labels_in(label)) for label in paired.labels]
    known = frozenset().union(*true_sets)
    given = (paired.labels_in(answer) for row in answers for answer in row)
    names = sorted(known.union(*given))
    true = _indicators(true_sets, names)
    blocks = [true]
    for card in cards:
        sets = [frozenset(paired.labels_in(answer)) for answer in paired.answers(card)]
        said = _indicators(sets, names)
        blocks += [said, said & true]

    def f1(sums: Ints) -> Floats:
        parts = np.split(sums, len(blocks), axis=1)
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        values = [_f1(parts[0], said, both, is_micro=is_micro) for said, both in pairs]
        return np.asarray(values[0] - values[1] if len(values) == 2 else values[0])

    counts = [block.astype(np.int64) for block in blocks]
    summed = [c.sum(axis=1, keepdims=True) for c in counts] if is_micro else counts
    return np.concatenate(summed, axis=1), f1


def _indicators(sets: Sequence[frozenset[str]], names: Sequence[str]) -> Bools:
    """Which of the names each set holds, [N, C]."""
    return np.array([[name in held for name in names] for held in sets], dtype=bool)


def _f1(true: Ints, said: Ints, both: Ints, *, is_micro: bool) -> Floats:
    if is_micro:
        return micro_f1(np.concatenate([true, said, both], axis=1))
    return np.asarray((2 * both / np.maximum(true + said, 1)).mean(axis=1), dtype=np.float64)
