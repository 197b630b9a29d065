"""The mutants: one changed line each, and the tests that must notice.

Add one whenever a rule is added: `old` must occur exactly once in its file.
"""

from dataclasses import dataclass

GATE = ("tests/models/test_gate.py",)
STATISTICS = ("tests/models/test_statistics.py",)
POWER = ("tests/models/test_power.py",)
SETS = ("tests/models/test_multilabel.py",)
LEDGER = ("tests/tasks/test_ledger.py",)
JUDGING = ("tests/models/test_judging.py",)
LEASE = ("tests/tasks/test_lease.py",)
CHECKPOINTS = ("tests/tasks/test_checkpoints.py",)


@dataclass(frozen=True)
class Patch:
    """`old` becomes `new` in `file`; one of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    select: str
    """Pytest's -k: the tests that name the rule. The golden digest would notice any change, so it
    is not counted."""


PATCHES = (
    Patch(
        "believe a judge by one order",
        "records/judge.py",
        'return first if first == last and first != "unreadable" else None',
        'return first if first != "unreadable" else None',
        JUDGING,
        "contradicts_itself",
    ),
    Patch(
        "take what a judge left open for won",
        "models/judge_rules.py",
        "against = _paired(case, policy, said, abstained=False)",
        "against = _paired(case, policy, said, abstained=True)",
        JUDGING,
        "contradicts_itself or without_a_verdict",
    ),
    Patch(
        "let a judge see other answers than were scored",
        "models/judge_rules.py",
        "elif said.answers_digest != digest_answers(",
        "elif not digest_answers(",
        JUDGING,
        "something_else",
    ),
    Patch(
        "swap the two models",
        "models/gate.py",
        "paired = pair(case.record.items, case.record.challenger, card, keep)",
        "paired = pair(case.record.items, card, case.record.challenger, keep)",
        GATE,
        "swapped",
    ),
    Patch(
        "let a tie with the margin pass",
        "models/gate.py",
        "holds = interval.lower is not None and interval.lower > limit",
        "holds = interval.lower is not None and interval.lower >= limit",
        GATE,
        "tie_with_the_margin",
    ),
    Patch(
        "judge the estimate, not its bound",
        "models/gate.py",
        "holds = interval.lower is not None and interval.lower > limit",
        "holds = interval.estimate is not None and interval.estimate > limit",
        GATE,
        "no_better",
    ),
    Patch(
        "let a tie with the floor pass",
        "models/gate.py",
        "clears = interval.lower is not None and interval.lower > limit",
        "clears = interval.lower is not None and interval.lower >= limit",
        GATE,
        "floor and not macro_f1",
    ),
    Patch(
        "take log-loss for a metric to maximise",
        "models/gate.py",
        "if HIGHER_IS_BETTER[metric]:",
        "if metric:",
        GATE,
        "log_loss",
    ),
    Patch(
        "give `superior` a margin",
        "models/gate.py",
        'wanted = 0.0 if case.policy.rule == "superior" else margin',
        "wanted = margin",
        GATE,
        "twin",
    ),
    Patch(
        "compare with the champion in the anchor's place",
        "models/gate.py",
        'rulings.append(_versus(case, "anchor", anchor, margin))',
        'rulings.append(_versus(case, "anchor", champion, margin))',
        GATE,
        "anchor and not broken",
    ),
    Patch(
        "forgive retries",
        "models/gate.py",
        "return alpha / (k * (k + 1))",
        "return alpha / 2",
        GATE,
        "attempt or third_seed",
    ),
    Patch(
        "put an item in the slice of its first label alone",
        "models/slices.py",
        "keep = np.array([value in of_item for of_item in values])",
        "keep = np.array([value in of_item[:1] for of_item in values])",
        SETS,
        "better_model_of_sets",
    ),
    Patch(
        "forgive wrong labels in micro-F1",
        "models/corpus.py",
        "np.maximum(sums[:, 0] + sums[:, 1], 1)",
        "np.maximum(2 * sums[:, 0], 1)",
        SETS,
        "aggregates_again",
    ),
    Patch(
        "forget the labels that both know",
        "models/slices.py",
        "return None if keep.all() else keep",
        "return None",
        GATE,
        "new_label",
    ),
    Patch(
        "accept a removed label",
        "models/gate.py",
        "removed = sorted(set().union(*theirs.values()) - ours)",
        "removed = sorted(ours - ours)",
        GATE,
        "removed_label",
    ),
    Patch(
        "accept one test group too few",
        "models/gate.py",
        "if num_groups < limit:",
        "if num_groups < limit - 1:",
        GATE,
        "too_few_groups",
    ),
    Patch(
        "count items for groups",
        "models/gate.py",
        "num_groups, limit = len(set(case.record.items.groups)), case.policy.min_items",
        "num_groups, limit = len(case.record.items.groups), case.policy.min_items",
        GATE,
        "too_few_groups",
    ),
    Patch(
        "let any leak into training pass",
        "models/gate.py",
        "if share > limit:",
        "if share > 1:",
        GATE,
        "training",
    ),
    Patch(
        "promote a model that was rolled back",
        "models/gate.py",
        "if record.challenger.model_digest in record.barred_digests:",
        "if record.challenger.model_digest in ():",
        GATE,
        "rolled_back",
    ),
    Patch(
        "make every champion the anchor",
        "models/gate.py",
        "return all(is_better) and bool(is_better or record.champion is None)",
        "return True",
        GATE,
        "slightly_better",
    ),
    Patch(
        "promote with one refusal",
        "models/gate.py",
        'verdict="refuse" if refusals else "promote"',
        'verdict="refuse" if refusals[1:] else "promote"',
        GATE,
        "twin",
    ),
    Patch(
        "drop the NaN check",
        "models/evidence.py",
        "if bad := sum(not 0 <= loss <= MOST_NATS for loss in card.log_loss):",
        "if bad := sum(loss < 0 for loss in card.log_loss):",
        GATE,
        "broken",
    ),
    Patch(
        "believe the scorecard's metrics",
        "models/evidence.py",
        "elif abs(value - expected.get(name, value)) > METRIC_TOLERANCE:",
        "elif False:",
        GATE,
        "broken",
    ),
    Patch(
        "ignore a crashed evaluation",
        "models/evidence.py",
        "    if card.error:\n",
        "    if not card:\n",
        GATE,
        "broken",
    ),
    Patch(
        "accept other items",
        "models/evidence.py",
        "if card.item_ids != items.item_ids:",
        "if not card.item_ids:",
        GATE,
        "broken",
    ),
    Patch(
        "let reloaded probabilities drift",
        "models/evidence.py",
        "if not 0 <= parity.max_abs_difference <= PARITY_TOLERANCE:",
        "if parity.max_abs_difference > 1:",
        GATE,
        "artifact",
    ),
    Patch(
        "take an unmeasured budget for kept",
        "models/evidence.py",
        "if value is None or not 0 < value < math.inf:",
        "if value is None or not value:",
        GATE,
        "budget",
    ),
    Patch(
        "skip Holm",
        "models/statistics.py",
        "if p_values[index] > alpha / (len(p_values) - rank):",
        "if p_values[index] > alpha:",
        (*STATISTICS, *GATE),
        "holm",
    ),
    Patch(
        "ignore harmed slices",
        "models/slices.py",
        "    if is_harmed:\n",
        "    if is_harmed is None:\n",
        GATE,
        "slice",
    ),
    Patch(
        "refuse every undecidable slice but the required",
        "models/slices.py",
        "if one.name in limits.required:",
        "if one.name not in limits.required:",
        GATE,
        "slice",
    ),
    Patch(
        "give Tango Wald's variance",
        "models/statistics.py",
        "variance = n * (2 * chance_of_loss + d * (1 - d))",
        "variance = b + c - (b - c) ** 2 / n + 0 * chance_of_loss",
        STATISTICS,
        "tango",
    ),
    Patch(
        "take the floor from the other side",
        "models/statistics.py",
        "lower = betaincinv(num_correct, wrong + 1, alpha) if num_correct > 0 else 0.0",
        "lower = betaincinv(num_correct + 1, wrong, alpha) if num_correct > 0 else 0.0",
        STATISTICS,
        "clopper",
    ),
    Patch(
        "draw a bootstrap bound one rank off",
        "models/bootstrap.py",
        "return float(sorted_values[rank - 1]), float(sorted_values[-rank])",
        "return float(sorted_values[rank]), float(sorted_values[-rank])",
        STATISTICS,
        "order_statistics",
    ),
    Patch(
        "draw items, not strata",
        "models/bootstrap.py",
        "seen.setdefault(group, set()).add(label)",
        'seen.setdefault(group, set()).add("")',
        STATISTICS,
        "whole_groups",
    ),
    Patch(
        "say the power of a later attempt",
        "models/power.py",
        'alpha, is_superior = policy.alpha / 2, policy.rule == "superior"',
        'alpha, is_superior = policy.alpha, policy.rule == "superior"',
        POWER,
        "simulation",
    ),
    Patch(
        "drop put-if-absent",
        "tasks/ledger.py",
        "if store.put_if_absent(key, _encode(entry)):\n                return entry",
        "if store.write(key, _encode(entry)) is None:\n                return entry",
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "append whatever the champion is now",
        "tasks/ledger.py",
        "    if latest != decided_against:\n",
        "    if False:\n",
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "take another's entry for ours",
        "tasks/ledger.py",
        "    if not _is_same(found, entry):\n",
        "    if not found:\n",
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "forget an append whose answer was lost",
        "tasks/ledger.py",
        "return next((entry for entry in entries if _is_same(entry, draft)), None)",
        "return None",
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "believe a changed entry",
        "tasks/ledger.py",
        "    if _encode(entry) != data:\n",
        "    if not data:\n",
        LEDGER,
        "not s3 and verify",
    ),
    Patch(
        "ignore a gap in the history",
        "tasks/ledger.py",
        'problems += [f"entry {missing} is missing" for missing in range(expected, sequence)][:10]',
        "problems += []",
        LEDGER,
        "not s3 and history",
    ),
    Patch(
        "promote a barred model",
        "tasks/ledger.py",
        "if entry.model_digest in barred_digests(entries):",
        "if entry.model_digest in ():",
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "promote in spite of a hold",
        "tasks/ledger.py",
        "if reason := is_held(entries):",
        'if reason := "":',
        LEDGER,
        "not s3 and append",
    ),
    Patch(
        "take a dead process that nobody waited for for a living one",
        "tasks/lease.py",
        "return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)",
        "return is_same",
        LEASE,
        "nobody_waited",
    ),
    Patch(
        "look for checkpoints without pinning them",
        "tasks/checkpoints.py",
        '    pin(store, f"checkpoints/{train_key}")\n',
        "",
        CHECKPOINTS,
        "pins and local",
    ),
)
