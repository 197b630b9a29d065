"""What a rule of the gate gives: a finding, and why it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.corpus import CORPUS_METRICS
from records.decision import Comparison, Finding, GateRecord, Interval
from records.policy import GatePolicy
from records.scores import Scorecard

Kind = Literal["shown worse", "not shown", "not comparable", "broken"]
KINDS: tuple[Kind, ...] = ("broken", "not comparable", "shown worse", "not shown")
"""The first of these that some rule refuses for is the decision's."""


@dataclass(frozen=True)
class Ruling:
    """A finding, why it refuses, and the comparison that it rests on."""

    finding: Finding
    kind: Kind = "broken"
    comparison: Comparison | None = None

    @property
    def is_refused(self) -> bool:
        return self.finding.state == "refused"


@dataclass(frozen=True)
class Case:
    """The record, the alpha that it is judged at, and which evidence is sound."""

    record: GateRecord
    alpha: float
    problems: tuple[str, ...]
    """What is broken in record, items and scorecards; with any, nothing is compared."""

    @property
    def policy(self) -> GatePolicy:
        return self.record.policy

    @property
    def has_texts(self) -> bool:
        """Whether the models are judged on texts, not on labels."""
        return self.policy.metric in CORPUS_METRICS

    @property
    def opponents(self) -> tuple[tuple[str, Scorecard], ...]:
        """Champion and anchor, or the baselines where there is no champion."""
        record = self.record
        if record.champion is None:
            return tuple((card.role, card) for card in record.baselines)
        pairs = (("champion", record.champion), ("anchor", record.anchor))
        return tuple((name, card) for name, card in pairs if card is not None)


def passed(rule: str, reason: str) -> Ruling:
    return Ruling(Finding(rule=rule, state="passed", reason=reason))


def noted(rule: str, reason: str) -> Ruling:
    return Ruling(Finding(rule=rule, state="noted", reason=reason))


def refused(rule: str, reason: str, kind: Kind = "broken") -> Ruling:
    return Ruling(Finding(rule=rule, state="refused", reason=reason), kind)


def compared(
    rule: str,
    reason: str,
    interval: Interval,
    limit: float,
    comparison: Comparison,
    *,
    holds: bool,
    is_worse: bool,
) -> Ruling:
    """Whether a gain over another model clears its limit."""
    finding = Finding(
        rule=rule,
        state="passed" if holds else "refused",
        reason=reason,
        interval=interval,
        limit=limit,
        num_items=comparison.num_items,
        p_value=comparison.mcnemar_p,
    )
    return Ruling(finding, "shown worse" if is_worse else "not shown", comparison)


def listed(rule: str, problems: Sequence[str], good: str, kind: Kind = "broken") -> Ruling:
    """One finding that names every problem, or says what is good."""
    return refused(rule, "; ".join(problems), kind) if problems else passed(rule, good)


def bounded(estimate: float | None, side: str, bound: float | None) -> str:
    """E.g. `0.912 (at least 0.898)`."""
    known = "unknown" if bound is None else f"{bound:.4f}"
    return f"{estimate:.4f} ({side} {known})" if estimate is not None else "unknown"


def worst(rulings: list[Ruling]) -> Kind:
    kinds = {ruling.kind for ruling in rulings}
    return next(kind for kind in KINDS if kind in kinds)
