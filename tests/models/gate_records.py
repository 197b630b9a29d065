"""Gate records for tests: sound ones, to be broken one field at a time."""

import math
from collections.abc import Sequence
from typing import Any

from models.gate import GATE_VERSION
from models.metrics import figures
from records.data import CheckReport, CheckResult
from records.decision import GateRecord, LineageOverlap
from records.policy import GatePolicy
from records.scores import SCORING_VERSION, Budgets, Fingerprint, Parity, Scorecard, TestItems

SNAPSHOT = "5" * 64
OTHER = {"neg": "pos", "pos": "neg"}


def items_of(
    num_items: int = 400,
    labels: Sequence[str] = ("neg", "pos"),
    groups: Sequence[str] | None = None,
    slices: dict[str, tuple[str, ...]] | None = None,
) -> TestItems:
    """Labels take turns; every item is its own group unless given."""
    ids = tuple(f"item-{i:05}" for i in range(num_items))
    return TestItems(
        item_ids=ids,
        groups=tuple(groups) if groups is not None else tuple(f"g{i:05}" for i in range(num_items)),
        labels=tuple(labels[i % len(labels)] for i in range(num_items)),
        slices=slices or {},
    )


def card_of(
    items: TestItems,
    wrong: Sequence[int] = (),
    role: str = "challenger",
    predicted: Sequence[str] | None = None,
    model_labels: Sequence[str] | None = None,
    confidence: float = 0.9,
) -> Scorecard:
    """A model that errs on the items of those positions, or that answers `predicted`."""
    missed = set(wrong)
    if predicted is None:
        predicted = [OTHER.get(y, "neg") if i in missed else y for i, y in enumerate(items.labels)]
    loss = tuple(
        -math.log(confidence if p == y else 1 - confidence)
        for p, y in zip(predicted, items.labels, strict=True)
    )
    sure = (confidence,) * len(loss)
    return Scorecard(
        role=role,
        model_digest=role.ljust(64, "0"),
        fingerprint=Fingerprint(
            test_digest=items.test_digest,
            scoring_version=SCORING_VERSION,
            code_digest="c" * 64,
            libraries={"torch": "2.13.0"},
            device="cpu",
            dtype="fp32",
            batch_rule="length-sorted, 64",
        ),
        model_labels=tuple(model_labels or sorted(set(items.labels))),
        item_ids=items.item_ids,
        predicted=tuple(predicted),
        log_loss=loss,
        confidence=sure,
        metrics=figures(items.labels, predicted, loss, sure) if loss else {},
    )


def report_of(**changes: Any) -> CheckReport:
    """Checks that ran and passed; 10 of 4,000 rows were dropped."""
    result = CheckResult(
        name="labels", column="label", blocking=True, passed=True, observed="2", limit="2",
        num_failed=0,
    )  # fmt: skip
    report = CheckReport(
        snapshot_digest=SNAPSHOT, checks_version="1", num_in=4000, num_kept=3990,
        dropped={"duplicate": 10}, results=(result,),
    )  # fmt: skip
    return report.model_copy(update=changes)


def record_of(
    items: TestItems | None = None,
    challenger: Sequence[int] | Scorecard = tuple(range(20, 38)),
    champion: Sequence[int] | Scorecard | None = tuple(range(20, 40)),
    anchor: Sequence[int] | Scorecard | None = None,
    baseline: Sequence[int] | Scorecard = tuple(range(20, 80)),
    policy: GatePolicy | None = None,
    **changes: Any,
) -> GateRecord:
    """By default a challenger with 18 errors on 400 items against a champion with those and 2 more.

    The anchor is the champion unless given; without a champion there is one baseline.
    """
    items = items or items_of()

    def card(given: Sequence[int] | Scorecard, role: str) -> Scorecard:
        return given if isinstance(given, Scorecard) else card_of(items, given, role)

    is_first = champion is None
    old = None if champion is None else card(champion, "champion")
    num_groups = len(set(items.groups))
    record = GateRecord(
        gate_version=GATE_VERSION,
        name="reviews",
        challenger=card(challenger, "challenger"),
        champion=old,
        anchor=old if anchor is None else card(anchor, "anchor"),
        baselines=(card(baseline, "baseline:tfidf"),) if is_first else (),
        expected_baselines=("baseline:tfidf",) if is_first else (),
        items=items,
        data_digest=SNAPSHOT,
        data_key="d" * 64,
        check_report=report_of(),
        lineage=LineageOverlap(num_test_groups=num_groups, num_dropped={}, num_dropped_total=0),
        budgets=Budgets(
            latency_p95_ms=9.5, peak_memory_bytes=400_000_000, artifact_bytes=91_000_000
        ),
        parity=Parity(num_compared=64, num_equal_labels=64, max_abs_difference=1e-7),
        policy=policy or GatePolicy(minimum=0.8, margin=0.02),
        attempt=1,
        num_test_uses=0,
        ledger_sequence=0 if is_first else 3,
        ledger_hash="" if is_first else "e" * 64,
    )
    return record.model_copy(update=changes)
