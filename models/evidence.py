"""Is there anything to judge? Each function lists what is broken, in sentences; empty: sound."""

import math
from collections import Counter
from collections.abc import Iterable

from models.corpus import CORPUS_METRICS, MOST, as_array, corpus_figures
from models.metrics import figures_of
from records.data import CheckReport
from records.decision import GateRecord, LineageOverlap
from records.labels import is_label_set
from records.policy import BudgetPolicy, Metric
from records.scores import Budgets, Fingerprint, Parity, Scorecard, TestItems
from records.task import TASKS

METRIC_TOLERANCE = 1e-6
PARITY_TOLERANCE = 1e-4
"""Largest difference of a probability between the scored model and its reloaded artifact."""
MOST_NATS = 1000.0
"""A larger loss is no probability; the bound keeps integer sums exact."""


def item_problems(items: TestItems) -> list[str]:
    """Empty test split, lists of different length, repeated ids."""
    num_items = len(items.item_ids)
    if not num_items:
        return ["the test split is empty; give it rows"]
    columns = {"groups": items.groups, "labels": items.labels}
    columns |= {f"slice {name!r}": values for name, values in items.slices.items()}
    problems = [
        f"{name} has {len(values)} entries for {num_items} items"
        for name, values in columns.items()
        if len(values) != num_items
    ]
    if items.has_label_sets and (bad := [y for y in items.labels if not is_label_set(y)]):
        problems.append(f"{len(bad)} labels are no sets of labels, e.g. {bad[0]!r}")
    repeated = [item for item, count in Counter(items.item_ids).items() if count > 1]
    if repeated:
        problems.append(f"{len(repeated)} item ids occur twice, e.g. {repeated[0]!r}")
    return problems


def record_problems(record: GateRecord, gate_version: int) -> list[str]:
    """A record that contradicts itself, or was made for another gate."""
    policy, head = record.policy, record.ledger_sequence
    rules = {
        f"gate_version {record.gate_version} is not {gate_version}; decide again with this gate": (
            record.gate_version != gate_version
        ),
        f"minimum {policy.minimum} is not finite; set gate.minimum": (
            not math.isfinite(policy.minimum)
        ),
        f"{policy.metric} is no metric of {record.task}; set gate.metric": (
            policy.metric not in TASKS[record.task].metrics
        ),
        f"the items are not labelled as those of {record.task} are": (
            record.items.has_label_sets != TASKS[record.task].has_label_sets
        ),
        "the attempt is below 1; count attempts from 1": record.attempt < 1,
        "the number of test uses is negative": record.num_test_uses < 0,
        "a champion was scored though the ledger is empty; `refit adopt` it first": (
            record.champion is not None and head < 1
        ),
        "the anchor that was scored is not the ledger's; score it, or `refit rebase`": (
            None not in (record.champion, record.anchor)
            and record.anchor_digest not in ("", record.anchor and record.anchor.model_digest)
        ),
        "the ledger's head has no hash; verify the ledger": head != 0 and not record.ledger_hash,
    }
    return [problem for problem, is_broken in rules.items() if is_broken]


def scorecard_problems(card: Scorecard, items: TestItems, metric: Metric) -> list[str]:
    """A crashed evaluation, short lists, other items, values out of range, metrics that disagree.

    `items` must be sound.
    """
    if card.error:
        return [f"could not be scored: {card.error}"]
    if metric in CORPUS_METRICS:
        return _corpus_problems(card, items, metric)
    num_items = len(items.item_ids)
    columns: dict[str, tuple[object, ...]] = {
        "predicted": card.predicted,
        "log_loss": card.log_loss,
        "confidence": card.confidence,
    }
    problems = [
        f"{name} has {len(values)} entries for {num_items} items"
        for name, values in columns.items()
        if len(values) != num_items
    ]
    if card.item_ids != items.item_ids:
        problems.append("its item ids are not those of the test split, in order")
    if len(set(card.model_labels)) != len(card.model_labels):
        problems.append("two of its labels have one name")
    given = {name for answer in set(card.predicted) for name in items.labels_in(answer)}
    if unknown := sorted(given - set(card.model_labels)):
        problems.append(f"it answers {unknown[0]!r}, which is none of its labels")
    if bad := sum(not 0 <= loss <= MOST_NATS for loss in card.log_loss):
        problems.append(f"{bad} log-losses are not between 0 and {MOST_NATS:g} nats")
    if bad := sum(not 0 < share <= 1 + METRIC_TOLERANCE for share in card.confidence):
        problems.append(f"{bad} confidences are not in (0, 1]")
    return problems or _metric_problems(card, items, metric)


def _corpus_problems(card: Scorecard, items: TestItems, metric: Metric) -> list[str]:
    """Short lists, other items, integers that no text can have, texts without their digest."""
    num_items, rule = len(items.item_ids), CORPUS_METRICS[metric]
    problems = []
    if items.item_ids != card.item_ids:
        problems.append("its item ids are not those of the test split, in order")
    if len(card.predicted) not in ((num_items,) if rule.is_generated else (0, num_items)):
        problems.append(f"predicted has {len(card.predicted)} entries for {num_items} items")
    if rule.is_generated and metric not in card.fingerprint.signatures:
        problems.append(f"how its {metric} was computed is not said")
    for name, rows in sorted(card.statistics.items()):
        problems += _integer_problems(name, rows, num_items)
    if metric not in card.statistics:
        problems.append(f"the integers of its {metric} are missing")
    if problems:
        return problems
    return _figure_problems(card, metric, corpus_figures(card.statistics))


def _integer_problems(name: str, rows: tuple[tuple[int, ...], ...], num_items: int) -> list[str]:
    if name not in CORPUS_METRICS:
        return [f"{name} is no corpus metric"]
    rule = CORPUS_METRICS[name]
    if len(rows) != num_items:
        return [f"{name} has {len(rows)} entries for {num_items} items"]
    if any(len(row) != rule.num_columns for row in rows):
        return [f"{name} needs {rule.num_columns} integers per item"]
    if any(not 0 <= number <= MOST for row in rows for number in row):
        return [f"{name} has integers outside 0 to {MOST}"]
    bad = int((~rule.is_possible(as_array(rows))).sum())
    return [f"{name}: the integers of {bad} items contradict each other"] if bad else []


def _metric_problems(card: Scorecard, items: TestItems, metric: Metric) -> list[str]:
    expected = figures_of(items, card.predicted, card.log_loss, card.confidence)
    return _figure_problems(card, metric, expected)


def _figure_problems(card: Scorecard, metric: Metric, expected: dict[str, float]) -> list[str]:
    """Metrics must be there, finite, and what the items themselves say."""
    problems = [] if metric in card.metrics else [f"its {metric} is missing"]
    for name, value in sorted(card.metrics.items()):
        if not math.isfinite(value):
            problems.append(f"its {name} is {value}")
        elif abs(value - expected.get(name, value)) > METRIC_TOLERANCE:
            problems.append(f"its {name} is {value:.6f}, but its items give {expected[name]:.6f}")
    return problems


def constant_problems(card: Scorecard, items: TestItems) -> list[str]:
    """One answer to everything, where the test split has several labels, or texts to write."""
    if len(set(card.predicted)) != 1 or len(card.predicted) == 1:
        return []
    if card.statistics:
        return [f"it writes the same text for all {len(card.predicted)} items"]
    if len(set(items.labels)) > 1:
        return [f"it answers {card.predicted[0]!r} to all {len(card.predicted)} items"]
    return []


def fingerprint_problems(cards: Iterable[tuple[str, Scorecard]], items: TestItems) -> list[str]:
    """Scorecards of other items, or that were not scored alike (the first card is the measure)."""
    problems = []
    (_, first), *others = cards
    if first.fingerprint.test_digest != items.test_digest:
        problems.append("the challenger was scored on another test split")
    ours = first.fingerprint
    for name, card in others:
        theirs = card.fingerprint
        fields = Fingerprint.model_fields
        if differing := [f for f in fields if getattr(ours, f) != getattr(theirs, f)]:
            problems.append(f"{name} differs from the challenger in {', '.join(differing)}")
    return problems


def token_problems(cards: Iterable[tuple[str, Scorecard]], metric: Metric) -> list[str]:
    """Losses per token of models that split the same texts into other tokens."""
    if metric != "loss_per_token":
        return []
    counts = [(name, [row[1] for row in card.statistics[metric]]) for name, card in cards]
    (_, ours), *others = counts
    return [
        f"{name} splits the texts into other tokens; judge by gate.metric: loss_per_byte"
        for name, theirs in others
        if theirs != ours
    ]


def check_problems(report: CheckReport | None, snapshot_digest: str) -> list[str]:
    """Checks that did not run, ran on other data, failed, or lost rows without saying so."""
    if report is None or not report.results:
        return ["the data checks did not run; run them"]
    problems = [
        f"{result.name} failed: {result.observed}, limit {result.limit}"
        for result in report.results
        if result.blocking and not result.passed
    ]
    if report.snapshot_digest != snapshot_digest:
        problems.append("the data checks ran on another snapshot")
    counts = (report.num_in, report.num_kept, *report.dropped.values())
    if min(counts) < 0 or report.num_kept == 0:
        problems.append(f"impossible row counts: {report.num_in} in, {report.num_kept} kept")
    if report.num_in != report.num_kept + sum(report.dropped.values()):
        problems.append(
            f"{report.num_in} rows went in, but {report.num_kept} kept and "
            f"{sum(report.dropped.values())} dropped came out"
        )
    return problems


def lineage_problems(lineage: LineageOverlap | None, items: TestItems) -> list[str]:
    """No lineage report, or one whose counts do not fit the test split that was scored."""
    if lineage is None:
        return ["there is no lineage report; compare the test groups with each model's training"]
    total, num_groups = lineage.num_dropped_total, len(set(items.groups))
    most = max(lineage.num_dropped.values(), default=0)
    least = min(lineage.num_dropped.values(), default=0)
    if least < 0 or not most <= total <= sum(lineage.num_dropped.values()):
        return [f"the lineage report's counts contradict each other: {total} dropped in all"]
    if lineage.num_test_groups - total != num_groups:
        return [
            f"the lineage report leaves {lineage.num_test_groups - total} groups, "
            f"but {num_groups} were scored"
        ]
    return []


def parity_problems(parity: Parity | None) -> list[str]:
    """The reloaded artifact was not compared, or answers otherwise than what was scored."""
    if parity is None or parity.num_compared < 1:
        return ["the saved artifact was not compared with what was scored; compare it"]
    problems = []
    if parity.num_equal_labels != parity.num_compared:
        problems.append(
            f"the reloaded artifact gives the same label on {parity.num_equal_labels} "
            f"of {parity.num_compared} items"
        )
    if not 0 <= parity.max_abs_difference <= PARITY_TOLERANCE:
        problems.append(
            f"its probabilities differ by {parity.max_abs_difference:g}, limit {PARITY_TOLERANCE:g}"
        )
    return problems


def budget_problems(budgets: Budgets | None, limits: BudgetPolicy) -> tuple[list[str], list[str]]:
    """What was not measured though it has a limit, and what is not below its limit."""
    measured = budgets or Budgets()
    rows: list[tuple[str, float | None, float | None, float]] = [
        ("latency_p95_ms", measured.latency_p95_ms, limits.latency_p95_ms, 1),
        ("peak_memory_mb", measured.peak_memory_bytes, limits.peak_memory_mb, 1e6),
        ("artifact_mb", measured.artifact_bytes, limits.artifact_mb, 1e6),
    ]
    missing, over = [], []
    for name, value, limit, unit in rows:
        if limit is None:
            continue
        if value is None or not 0 < value < math.inf:
            missing.append(f"{name} has a limit of {limit:g} but was not measured; measure it")
        elif not value < limit * unit:
            over.append(
                f"{name} is {value / unit:.4g}, limit {limit:g}; shrink the model or raise it"
            )
    return missing, over
