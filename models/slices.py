"""Slices of the test split on which the challenger must not lose to champion and anchor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.intervals import Paired, gain, harm, pair
from models.rulings import Case, Kind, Ruling, bounded, noted, refused
from models.statistics import holm
from records.decision import Finding, Interval
from records.scores import Scorecard
from records.task import slice_metric

Columns = Mapping[str, Sequence[tuple[str, ...]]]
"""Slice column -> the values that each item has in it."""


@dataclass(frozen=True)
class Slice:
    """One value of a slice column, with the outcomes on its items."""

    name: str
    paired: Paired
    interval: Interval
    p_value: float


def slice_rules(case: Case) -> Iterator[Ruling]:
    """Held, harmed or not decidable; see `slice_metric`. An item is in the slice of each of its labels.

    Against the champion, and against the anchor where that is another model: small losses on a
    slice must not add up either.
    """
    limits, record = case.policy.slices, case.record
    items = record.items
    columns: dict[str, list[tuple[str, ...]]] = {
        name: [(value,) for value in values] for name, values in items.slices.items()
    }
    columns["label"] = [items.labels_in(label) for label in items.labels]
    declared = {*limits.columns, *(name.partition("=")[0] for name in limits.required)}
    for missing in sorted(declared - set(columns)):
        yield refused("slices", f"the slice column {missing!r} was not delivered; declare it")
    if record.champion is None:
        if declared:
            yield noted("slices", "judged from the second champion on")
        return
    delivered = {name: columns[name] for name in declared & set(columns)}
    yield from _rules_against(case, record.champion, delivered, "")
    anchor = record.anchor
    if anchor is not None and anchor.model_digest != record.champion.model_digest:
        yield from _rules_against(case, anchor, delivered, " (anchor)")


def _rules_against(case: Case, other: Scorecard, columns: Columns, suffix: str) -> Iterator[Ruling]:
    limits = case.policy.slices
    found = list(_slices(case, other, columns))
    judged = [s for s in found if s.paired.num_items >= limits.min_n]
    # not at the retries' alpha: that would let harm pass more easily with each attempt
    harmed = holm([s.p_value for s in judged], case.policy.alpha)
    is_harmed = dict(zip((s.name for s in judged), harmed, strict=True))
    for one in found:
        yield _slice_ruling(case, one, is_harmed.get(one.name), suffix)
    for name in sorted(set(limits.required) - {s.name for s in found}):
        if name.partition("=")[0] in columns:
            reason = "no test item with a label that both know is in this required slice; add some"
            yield refused(f"slice:{name}{suffix}", reason)


def _slices(case: Case, other: Scorecard, columns: Columns) -> Iterator[Slice]:
    """Items whose label the other model does not know are left out: as its errors they would hide
    a loss on the rest of their slice."""
    shared = shared_labels(case, other)
    for column, values in sorted(columns.items()):
        for value in sorted({value for of_item in values for value in of_item}):
            keep = np.array([value in of_item for of_item in values])
            keep = keep if shared is None else keep & shared
            if not keep.any():
                continue
            paired = pair(case.record.items, case.record.challenger, other, keep)
            metric = slice_metric(case.record.task, case.policy.metric)
            p_value = harm(paired, metric, case.policy.slices.margin)
            yield Slice(f"{column}={value}", paired, gain(paired, metric, case.alpha), p_value)


def shared_labels(case: Case, card: Scorecard) -> NDArray[np.bool_] | None:
    """Which items have a label that both models know; None where all have, or there are none."""
    if case.has_texts:
        return None
    both = set(card.model_labels) & set(case.record.challenger.model_labels)
    items = case.record.items
    keep = np.array([both.issuperset(items.labels_in(label)) for label in items.labels])
    return None if keep.all() else keep


def _slice_ruling(case: Case, one: Slice, is_harmed: bool | None, suffix: str) -> Ruling:
    """`is_harmed` is None for a slice too small to be judged."""
    limits, interval = case.policy.slices, one.interval
    is_held = is_harmed is False and interval.lower is not None and interval.lower > -limits.margin
    metric = slice_metric(case.record.task, case.policy.metric)
    reason = f"{metric} gain {bounded(interval.estimate, 'at least', interval.lower)} "
    reason += f"on {one.paired.num_items} items"
    kind: Kind = "not shown"
    state: Literal["passed", "refused", "noted"] = "passed" if is_held else "noted"
    if is_harmed:
        state, kind = "refused", "shown worse"
        reason += f": a loss beyond {limits.margin:g} is shown; add such rows to the training"
    elif not is_held:
        reason += ": not decidable" if is_harmed is False else f": fewer than {limits.min_n}"
        if one.name in limits.required:
            state = "refused"
            reason += ", but it is required; add test rows"
    finding = Finding(
        rule=f"slice:{one.name}{suffix}",
        state=state,
        reason=reason,
        interval=interval,
        limit=-limits.margin,
        num_items=one.paired.num_items,
        p_value=one.p_value,
    )
    return Ruling(finding, kind)
