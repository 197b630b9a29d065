"""The gate: `decide(record) -> Decision`, pure. On by default, closed on doubt.

One function per rule, in the order of DESIGN.md "The gate"; each gives rulings. Broken evidence
is itself a ruling: nothing here raises on a record, however hostile.
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models import evidence
from models.intervals import compare, gain, pair, score
from models.judge_rules import judge_rules
from models.rulings import Case, Ruling, bounded, compared, listed, noted, passed, refused, worst
from models.slices import shared_labels, slice_rules
from records.base import sha256
from records.decision import Decision, Finding, GateRecord, Interval
from records.policy import HIGHER_IS_BETTER
from records.scores import Scorecard

GATE_VERSION = 2
MOST_ATTEMPTS = 10**6
"""Later attempts are judged as this one: alpha is then 5e-14."""
METRIC_WORDS = {
    "accuracy": "accuracy", "macro_f1": "macro-F1", "micro_f1": "micro-F1", "log_loss": "log-loss",
    "bleu": "BLEU", "chrf": "chrF", "loss_per_token": "loss per token",
    "loss_per_byte": "loss per byte", "exact_match": "exact match", "rouge_l": "ROUGE-L",
}  # fmt: skip
HUGE_NUMBER = re.compile(rb"[:,\[]-?\d{100}")


def decide(record: GateRecord) -> Decision:
    """The verdict on a challenger, with every rule's finding.

    Args:
        record: all that the verdict rests on.

    Returns:
        The same decision for the same record on any machine. Never raises: what is broken,
        missing or contradictory becomes a refused finding.
    """
    digest = _digest(record)
    if not digest:
        return _conclude(record, digest, 0.0, [refused("complete", "the record is no valid JSON")])
    case = _open(record)
    rulings = list(_evidence_rules(case))
    if not case.problems:
        rulings += [_min_items_rule(case), _floor_rule(case)]
        rulings += _baseline_rules(case) if record.champion is None else _champion_rules(case)
        rulings += [*slice_rules(case), *judge_rules(case)]
    rulings += [*_budget_rules(case), _parity_rule(case), *_wear_rules(case)]
    return _conclude(record, digest, case.alpha, rulings)


def _conclude(record: GateRecord, digest: str, alpha: float, rulings: list[Ruling]) -> Decision:
    """One refused rule refuses."""
    refusals = [ruling for ruling in rulings if ruling.is_refused]
    return Decision(
        gate_version=GATE_VERSION,
        record_digest=digest,
        verdict="refuse" if refusals else "promote",
        summary=_refusal(refusals) if refusals else _promotion(record, rulings),
        kind=worst(refusals) if refusals else "promote",
        alpha_used=alpha,
        findings=tuple(ruling.finding for ruling in rulings),
        comparisons=tuple(r.comparison for r in rulings if r.comparison is not None),
        is_superior_to_anchor=not refusals and _is_superior_to_anchor(record, rulings),
    )


def alpha_of_attempt(alpha: float, attempt: int) -> float:
    """alpha / (k (k + 1)) for the k-th attempt: summed over all attempts it is alpha."""
    k = min(max(attempt, 1), MOST_ATTEMPTS)
    return alpha / (k * (k + 1))


# --- evidence


def _open(record: GateRecord) -> Case:
    """List what is broken, scorecard by scorecard."""
    case = Case(record, alpha_of_attempt(record.policy.alpha, record.attempt), ())
    problems = evidence.item_problems(record.items)
    if not problems:
        for name, card in (("challenger", record.challenger), *case.opponents):
            found = evidence.scorecard_problems(card, record.items, record.policy.metric)
            problems += [f"{name}: {problem}" for problem in found]
    problems += evidence.record_problems(record, GATE_VERSION)
    problems += _missing_opponents(record)
    return Case(record, case.alpha, tuple(problems))


def _missing_opponents(record: GateRecord) -> list[str]:
    """Who must be beaten but was not scored."""
    if record.champion is not None:
        return [] if record.anchor else ["the anchor was not scored; score it, or `refit rebase`"]
    roles = [card.role for card in record.baselines]
    problems = [f"{role}: not scored" for role in record.expected_baselines if role not in roles]
    if not record.expected_baselines:
        problems.append("there is neither champion nor baseline to beat; score the baselines")
    if len(set(roles)) != len(roles):
        problems.append("two baselines have one name")
    return problems


def _evidence_rules(case: Case) -> Iterator[Ruling]:
    record = case.record
    yield listed("complete", case.problems, "all scores are there, finite and consistent")
    if not case.problems:
        cards = (("challenger", record.challenger), *case.opponents)
        fingerprints = evidence.fingerprint_problems(cards, record.items)
        fingerprints += evidence.token_problems(cards, record.policy.metric)
        good = f"{len(cards)} models were scored on the same items in the same way"
        yield listed("fingerprints", fingerprints, good, "not comparable")
        constant = evidence.constant_problems(record.challenger, record.items)
        yield listed("constant", constant, "the challenger gives several answers")
    yield from _ledger_rules(case)
    checks = evidence.check_problems(record.check_report, record.data_digest)
    yield listed("checks", checks, "the data checks ran and passed")
    yield from _lineage_rules(case)


def _ledger_rules(case: Case) -> Iterator[Ruling]:
    """A model that was rolled back stays out; after a retirement baselines judge again."""
    record = case.record
    if record.challenger.model_digest in record.barred_digests:
        reason = "this very model was rolled back before; train another, or use override"
        yield refused("barred", reason, "shown worse")
    if record.champion is None and record.ledger_sequence:
        yield noted("ledger", "no champion is live: judged as the first one, against baselines")


def _lineage_rules(case: Case) -> Iterator[Ruling]:
    """Too many test groups were trained on; some training data are not known."""
    lineage = case.record.lineage
    problems = evidence.lineage_problems(lineage, case.record.items)
    if lineage is None or problems:
        yield listed("lineage", problems, "")
        return
    dropped, total = lineage.num_dropped_total, lineage.num_test_groups
    share, limit = dropped / max(total, 1), case.policy.max_overlap
    reason = f"{dropped} of {total} test groups were in some model's training (limit {limit:.1%})"
    if share > limit:
        yield refused("lineage", reason + "; keep test rows out of training", "not comparable")
    else:
        yield passed("lineage", reason)
    if lineage.unknown:
        roles = ", ".join(lineage.unknown)
        yield noted("lineage:unknown", f"what the base of {roles} was trained on is not known")


# --- scores


def _min_items_rule(case: Case) -> Ruling:
    num_groups, limit = len(set(case.record.items.groups)), case.policy.min_items
    reason = f"{num_groups} test groups, {limit} needed"
    if num_groups < limit:
        return refused("min_items", reason + "; enlarge the test split", "not shown")
    return passed("min_items", reason)


def _floor_rule(case: Case) -> Ruling:
    """The challenger's own bound clears the minimum (for log-loss: stays below it)."""
    metric, limit = case.policy.metric, case.policy.minimum
    interval = score(pair(case.record.items, case.record.challenger), metric, case.alpha)
    if HIGHER_IS_BETTER[metric]:
        clears = interval.lower is not None and interval.lower > limit
        fails = interval.upper is not None and interval.upper < limit
        words = f"{metric} {bounded(interval.estimate, 'at least', interval.lower)}, floor {limit}"
    else:
        clears = interval.upper is not None and interval.upper < limit
        fails = interval.lower is not None and interval.lower > limit
        words = f"{metric} {bounded(interval.estimate, 'at most', interval.upper)}, limit {limit}"
    if clears:
        return Ruling(
            Finding(rule="floor", state="passed", reason=words, interval=interval, limit=limit)
        )
    words += _worn_out(case, interval)
    words += "; improve the model or enlarge the test split"
    finding = Finding(rule="floor", state="refused", reason=words, interval=interval, limit=limit)
    return Ruling(finding, "shown worse" if fails else "not shown")


def _baseline_rules(case: Case) -> list[Ruling]:
    """The first champion is shown better than every baseline: never a rubber stamp."""
    return [_versus(case, name, card, margin=0.0) for name, card in case.opponents]


def _champion_rules(case: Case) -> list[Ruling]:
    """Superior or non-inferior to the champion, by policy; non-inferior to the anchor, always."""
    champion, anchor = case.record.champion, case.record.anchor
    assert champion is not None
    assert anchor is not None
    margin = case.policy.margin
    wanted = 0.0 if case.policy.rule == "superior" else margin
    rulings = [*_label_rules(case), _versus(case, "champion", champion, wanted)]
    rulings.append(_versus(case, "anchor", anchor, margin))
    for name, card, limit in (("champion", champion, wanted), ("anchor", anchor, margin)):
        if (shared := shared_labels(case, card)) is not None:
            rulings.append(_versus(case, f"{name}:shared labels", card, limit, shared))
    return rulings


def _label_rules(case: Case) -> Iterator[Ruling]:
    """Labels match by name: a removed one refuses, a new one is said. Texts have none."""
    if case.has_texts:
        return
    ours = set(case.record.challenger.model_labels)
    theirs = {name: set(card.model_labels) for name, card in case.opponents}
    removed = sorted(set().union(*theirs.values()) - ours)
    if removed:
        reason = f"the challenger no longer knows {', '.join(removed)}; if that is meant, `refit retire` the champion first"
        yield refused("labels", reason, "not comparable")
    elif added := sorted(ours - theirs["champion"]):
        yield passed("labels", f"new: {', '.join(added)}; each counts as the champion's error")
    else:
        yield passed("labels", f"the same {len(ours)} labels")


def _versus(
    case: Case,
    rule: str,
    card: Scorecard,
    margin: float,
    keep: NDArray[np.bool_] | None = None,
) -> Ruling:
    """The gain's lower bound exceeds -margin; a tie refuses."""
    paired = pair(case.record.items, case.record.challenger, card, keep)
    if not paired.num_items:
        return refused(rule, "no test item has a label that both know; add some", "not comparable")
    metric, limit = case.policy.metric, 0.0 - margin
    interval = gain(paired, metric, case.alpha)
    holds = interval.lower is not None and interval.lower > limit
    is_worse = interval.upper is not None and interval.upper < 0
    comparison = compare(paired, rule, metric, interval, case.alpha)
    reason = f"{metric} gain {bounded(interval.estimate, 'at least', interval.lower)}, "
    reason += f"must exceed {limit:g}"
    if is_worse and not holds:
        reason += "; it is shown worse: read the flips, and train on such rows"
    elif interval.lower is None:
        reason += _worn_out(case, interval)
    elif not holds:
        reason += f"; on {paired.num_items} items only a difference from "
        reason += f"{comparison.minimum_detectable_effect:.3f} on shows: enlarge the test split"
    return compared(rule, reason, interval, limit, comparison, holds=holds, is_worse=is_worse)


def _worn_out(case: Case, interval: Interval) -> str:
    """Why there is no bound at all."""
    if interval.lower is not None or interval.estimate is None:
        return ""
    return (
        f"; attempt {case.record.attempt} on these rows is judged at alpha {case.alpha:.2g}, too "
        "small for the bootstrap to show anything: bring new data"
    )


def _is_superior_to_anchor(record: GateRecord, rulings: list[Ruling]) -> bool:
    """Whether this is the new anchor: the first champion, or shown better than the last anchor."""
    gains = [r.finding.interval for r in rulings if r.finding.rule.startswith("anchor")]
    is_better = [g is not None and g.lower is not None and g.lower > 0 for g in gains]
    return all(is_better) and bool(is_better or record.champion is None)


# --- costs


def _budget_rules(case: Case) -> Iterator[Ruling]:
    missing, over = evidence.budget_problems(case.record.budgets, case.policy.budgets)
    if missing:
        yield listed("budgets:measured", missing, "")
    yield listed("budgets", over, "no limit is exceeded", "shown worse")


def _parity_rule(case: Case) -> Ruling:
    problems = evidence.parity_problems(case.record.parity)
    return listed("parity", problems, "the reloaded artifact answers as it was scored")


def _wear_rules(case: Case) -> Iterator[Ruling]:
    uses, limit = case.record.num_test_uses, case.policy.max_uses
    if uses >= limit:
        reason = f"this test split decided {uses} times, {limit} are advised; change split.salt"
        reason += (
            " (and raise gate.max_overlap once: the champion was trained on rows of a new test)"
        )
        yield noted("wear", reason)


# --- words


def _promotion(record: GateRecord, rulings: list[Ruling]) -> str:
    """What was shown, for somebody who must answer for it."""
    found = {r.finding.rule: r.finding for r in rulings}
    num_items, metric = len(record.items.item_ids), record.policy.metric
    own, versus = found["floor"].interval, found.get("champion")
    assert own is not None
    start = f"{METRIC_WORDS[metric]} {_figure(own.estimate)} on {num_items:,} test items"
    if versus is None or versus.interval is None:
        names = ", ".join(card.role.removeprefix("baseline:") for card in record.baselines)
        return f"Promote as the first champion: {start}, shown better than {names}."
    gained = f"{start}, {_figure(versus.interval.estimate, '+')} against the champion"
    if record.policy.rule == "superior":
        return f"Promote: {gained}, and shown better than it."
    return f"Promote: {gained}; a loss of {record.policy.margin:g} or more is ruled out."


def _figure(value: float | None, sign: str = "") -> str:
    return "unknown" if value is None else f"{value:{sign}.4f}"


def _refusal(refusals: list[Ruling]) -> str:
    """The gravest reason, and how many there are beside it."""
    kind = worst(refusals)
    first = next(r.finding for r in refusals if r.kind == kind)
    others = len(refusals) - 1
    more = f" ({others} more rule{'s' if others > 1 else ''} refused)" if others else ""
    return f"Refused, {kind}: {first.rule}: {first.reason}{more}."


def _digest(record: GateRecord) -> str:
    """Empty for a record that JSON cannot hold, or holds in numbers that nothing can print."""
    try:
        data = record.to_json()
    except ValueError:
        return ""
    return "" if HUGE_NUMBER.search(data) else sha256(data)
