"""Realistic decision documents, built through the records; verdicts and bounds set by hand."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.gate import GATE_VERSION
from models.metrics import figures
from records.base import digest_of
from records.cost import StepCost
from records.data import (
    CheckReport,
    CheckResult,
    DataRef,
    RowRef,
    SnapshotRef,
    SourceFile,
    SplitRef,
)
from records.decision import Comparison, Decision, Finding, GateRecord, Interval, LineageOverlap
from records.document import (
    CurvePoint,
    DecisionDocument,
    DecisionFile,
    Outcome,
    PowerRow,
    TrainResult,
)
from records.policy import GatePolicy, SlicePolicy
from records.scores import Budgets, Fingerprint, Parity, Scorecard, TestItems

Kind = Literal["promote", "shown worse", "not shown", "not comparable", "broken"]
State = Literal["passed", "refused", "noted"]
HOSTILE = '</td></style></svg><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
MARKDOWN = "[click](javascript:alert(1)) **bold** | `code` # <b>x</b> https://evil.example/ \x07"


@dataclass(frozen=True)
class Case:
    """What one document is about; every figure that is not here follows from the answers."""

    name: str = "reviews"
    labels: tuple[str, ...] = ("negative", "positive")
    num_items: int = 600
    right: tuple[float, float] = (0.93, 0.925)
    """Share of right answers: challenger, the other model."""
    against: str = "champion"
    outcome: Outcome = "promoted"
    kind: Kind = "promote"
    summary: str = "It is at least as good as the model in place."
    slices: tuple[str, ...] = ()
    reason: str = ""
    seed: int = 1


def _draw(case: Case, truth: Sequence[str], right: float, seed: int) -> list[str]:
    """Answers that are right with probability `right`; a wrong one is often the next label."""
    random_ = random.Random(seed)
    order = {label: i for i, label in enumerate(case.labels)}
    return [
        label
        if random_.random() < right
        else case.labels[
            (order[label] + 1 + random_.choice((0, 0, 1)) % (len(case.labels) - 1))
            % len(case.labels)
        ]
        for label in truth
    ]


def scorecard(
    case: Case, role: str, items: TestItems, right: float, seed: int, **changes: object
) -> Scorecard:
    """A model that answers `right` of the items rightly, a little too sure of itself."""
    truth = list(items.labels)
    given = _draw(case, truth, right, seed)
    random_ = random.Random(seed + 1)
    sure = [
        min(0.999, random_.betavariate(9, 1.2 if a == b else 3.0))
        for a, b in zip(truth, given, strict=True)
    ]
    loss = [
        -math.log(c if a == b else max(1e-6, (1 - c) / max(1, len(case.labels) - 1)))
        for a, b, c in zip(truth, given, sure, strict=True)
    ]
    fields: dict[str, object] = {
        "role": role,
        "model_digest": digest_of([case.name, role, seed]),
        "fingerprint": fingerprint(items),
        "model_labels": case.labels,
        "item_ids": items.item_ids,
        "predicted": tuple(given),
        "log_loss": tuple(loss),
        "confidence": tuple(sure),
        "num_truncated": 4,
        "metrics": figures(truth, given, loss, sure),
    }
    return Scorecard.model_validate(fields | changes)


def fingerprint(items: TestItems) -> Fingerprint:
    return Fingerprint(
        test_digest=items.test_digest,
        scoring_version=1,
        code_digest=digest_of("code"),
        libraries={"torch": "2.13.0", "transformers": "5.23.1", "tokenizers": "0.23.0"},
        device="cpu",
        dtype="bfloat16",
        batch_rule="64, by length",
    )


def test_items(case: Case) -> TestItems:
    random_ = random.Random(case.seed)
    ids = tuple(f"{case.name}-{i:05d}" for i in range(case.num_items))
    labels = tuple(random_.choice(case.labels) for _ in ids)
    values = [s.split("=", 1) for s in case.slices]
    columns = dict.fromkeys(column for column, _ in values)
    slices = {
        column: tuple(random_.choice([v for c, v in values if c == column]) for _ in ids)
        for column in columns
    }
    return TestItems(
        item_ids=ids, groups=tuple(digest_of(i)[:16] for i in ids), labels=labels, slices=slices
    )


test_items.__test__ = False  # type: ignore[attr-defined]


def interval(estimate: float, half: float, method: str = "tango") -> Interval:
    return Interval(estimate=estimate, lower=estimate - half, upper=estimate + half, method=method)


def _half(num_items: int, discordance: float = 0.08) -> float:
    return 1.645 * math.sqrt(discordance / num_items)


def _comparison(challenger: Scorecard, other: Scorecard, items: TestItems) -> Comparison:
    triples = zip(items.item_ids, items.labels, challenger.predicted, other.predicted, strict=False)
    listed = [(i, t == a, t == b) for i, t, a, b in triples]
    lost = [i for i, new, old in listed if old and not new]
    won = [i for i, new, old in listed if new and not old]
    return Comparison(
        against=other.role,
        num_items=len(listed),
        num_wins=len(won),
        num_losses=len(lost),
        mcnemar_p=0.41,
        minimum_detectable_effect=2.5 * _half(max(1, len(listed))),
        flips=(*lost, *won),
    )


def _difference(challenger: Scorecard, other: Scorecard, num_items: int) -> Interval:
    return interval(challenger.metrics["accuracy"] - other.metrics["accuracy"], _half(num_items))


def findings(case: Case, challenger: Scorecard, others: Sequence[Scorecard]) -> list[Finding]:
    """The rules as the gate would list them, judged with rough bounds."""
    reached = challenger.metrics["accuracy"]
    found = [
        Finding(rule="complete", state="passed", reason="Every score, list and report is there."),
        Finding(rule="checks", state="passed", reason="12 of 12 data checks passed."),
        Finding(rule="lineage", state="passed", reason="0 of the test groups were trained on."),
        _judged("floor", interval(reached, 0.02, "clopper-pearson"), 0.85, case.num_items),
    ]
    for other in others:
        limit = 0.0 if other.role.startswith("baseline") else -0.02
        found.append(
            _judged(
                other.role, _difference(challenger, other, case.num_items), limit, case.num_items
            )
        )
    for i, name in enumerate(case.slices):
        size = max(12, case.num_items // (2 + i))
        found.append(_slice(name, interval(0.012 - 0.011 * i, _half(size)), size))
    uses = Finding(rule="wear", state="noted", reason="This test set has served 3 of 50 decisions.")
    return [*found, uses]


def _judged(rule: str, found: Interval, limit: float, num_items: int) -> Finding:
    passed = found.lower is not None and found.lower > limit
    reason = f"Lower bound {found.lower:.3f} against the limit {limit:.3f}." + (
        "" if passed else " Collect more test rows, or train on more data."
    )
    return Finding(
        rule=rule, state="passed" if passed else "refused", reason=reason, interval=found,
        limit=limit, num_items=num_items,
    )  # fmt: skip


def _slice(name: str, found: Interval, size: int) -> Finding:
    state: State = "passed" if (found.lower or 0) > -0.05 else "noted"
    reason = "Held." if state == "passed" else f"{size} items cannot decide a margin of 0.05."
    return Finding(
        rule=f"slice:{name}",
        state=state,
        reason=reason,
        interval=found,
        limit=-0.05,
        num_items=size,
    )


def _split(name: Literal["train", "validation", "test"], case: Case, num_rows: int) -> SplitRef:
    share = num_rows // len(case.labels)
    return SplitRef(
        split=name, key=f"splits/{digest_of(case.name)}", sha256=digest_of([case.name, name]),
        num_rows=num_rows, num_groups=num_rows - 3,
        num_by_label={label: share + i % 7 for i, label in enumerate(case.labels)},
    )  # fmt: skip


def data_of(case: Case) -> DataRef:
    snapshot = digest_of([case.name, "snapshot"])
    kept = case.num_items * 10
    file = SourceFile(uri=f"data/{case.name}.csv", num_rows=kept + 31, sha256=digest_of("file"))
    results = [
        CheckResult(name="row_count", column="", blocking=True, passed=True, observed=f"{kept + 31}",
                    limit="at least 100", num_failed=0),
        CheckResult(name="label_in_set", column="label", blocking=True, passed=True,
                    observed=f"{len(case.labels)} labels", limit="declared labels", num_failed=0),
        CheckResult(name="text_length", column="text", blocking=False, passed=False,
                    observed="longest 4,812", limit="at most 4,000 characters", num_failed=2,
                    next_step="Shorten these texts or raise checks.max_chars.",
                    examples=(RowRef(file=file.uri, row=71, line=73, column="text"),)),
    ]  # fmt: skip
    return DataRef(
        snapshot=SnapshotRef(
            snapshot_digest=snapshot, num_rows=kept + 31, files=(file,), columns=("text", "label")
        ),
        report=CheckReport(
            snapshot_digest=snapshot, checks_version="1", num_in=kept + 31, num_kept=kept,
            dropped={"duplicate": 19, "conflicting_label": 8, "empty_text": 4},
            warnings=("2 texts are longer than 4,000 characters.",), results=tuple(results),
        ),
        data_key=digest_of([snapshot, "split"]),
        splits=(
            _split("train", case, kept * 8 // 10), _split("validation", case, kept // 10),
            _split("test", case, case.num_items),
        ),
        labels=case.labels,
    )  # fmt: skip


def train_of(case: Case, num_steps: int = 450) -> TrainResult:
    random_ = random.Random(case.seed)
    curve = []
    for step in range(10, num_steps + 1, 10):
        epoch, wobble = 3 * step / num_steps, random_.uniform(-0.02, 0.02)
        rate = 1e-4 * min(step / 27, (num_steps - step) / (num_steps - 27))
        values = {
            "loss": 0.12 + 0.6 * math.exp(-step / 90) + wobble,
            "learning_rate": rate,
            "grad_norm": 1.2 + 4 * math.exp(-step / 60) + 10 * abs(wobble),
        }
        if step % 50 == 0:
            values["validation_loss"] = 0.21 + 0.4 * math.exp(-step / 80) + wobble / 2
            values["validation_accuracy"] = case.right[0] - 0.2 * math.exp(-step / 90) + wobble / 4
        curve += [CurvePoint(step=step, epoch=epoch, name=n, value=v) for n, v in values.items()]
    return TrainResult(
        train_key=digest_of([case.name, "train"]), model_digest=digest_of([case.name, "challenger", 11]),
        model_key=f"models/{digest_of(case.name)[:12]}", base="minilm-l6-h384", base_lineage_known=False,
        base_digest="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        num_steps=num_steps, best_step=400, metric="accuracy", best_value=case.right[0],
        curve=tuple(curve), seed=13, dtype="bfloat16", device="cpu", wall_s=104.6, samples_per_s=137.4,
        tokens_per_s=3160.0, peak_memory_bytes=1_420_000_000,
        num_truncated={"train": 31, "validation": 2, "test": 4}, mlflow_run_id="f3b1c0ffee12",
    )  # fmt: skip


def costs() -> tuple[StepCost, ...]:
    measured = {
        "ingest": (0.42, 0.4, 310), "check": (3.9, 3.6, 460), "split": (0.3, 0.3, 330),
        "train": (104.6, 201.3, 1420), "evaluate": (21.7, 40.1, 990), "decide": (1.1, 1.1, 380),
        "promote": (2.6, 1.2, 400),
    }  # fmt: skip
    return tuple(
        StepCost(step=step, wall_s=wall, cpu_s=cpu, peak_memory_bytes=mega * 10**6)
        for step, (wall, cpu, mega) in measured.items()
    )


def power_rows(num_items: int) -> tuple[PowerRow, ...]:
    return tuple(
        PowerRow(discordance=d, num_items=num_items, chance=min(1.0, 0.02 / d), margin_for_80=0.3 * d,
                 items_for_80=int(num_items * max(0.4, 25 * d)))
        for d in (0.02, 0.05, 0.1)
    )  # fmt: skip


def recipe_of(case: Case) -> dict[str, object]:
    return {
        "name": case.name,
        "task": "classification",
        "data": {"source": f"data/{case.name}.csv", "text": "text", "label": "label"},
        "train": {"base": "minilm-l6-h384", "epochs": 3, "learning_rate": 1e-4, "seed": 13},
        "gate": {"metric": "accuracy", "minimum": 0.85, "rule": "non_inferior", "margin": 0.02},
    }


def build(case: Case) -> DecisionDocument:
    """The document of a case: two models, their answers, and rules that follow from them."""
    items = test_items(case)
    challenger = scorecard(case, "challenger", items, case.right[0], case.seed + 10)
    other = scorecard(case, case.against, items, case.right[1], case.seed + 20)
    is_first = case.against.startswith("baseline")
    others = [other] if is_first else [other, other.model_copy(update={"role": "anchor"})]
    record = GateRecord(
        gate_version=GATE_VERSION, name=case.name, challenger=challenger, items=items,
        champion=None if is_first else other, anchor=None if is_first else others[1],
        baselines=(other,) if is_first else (),
        expected_baselines=(other.role,) if is_first else (),
        data_digest=data_of(case).snapshot.snapshot_digest, data_key=data_of(case).data_key,
        check_report=data_of(case).report,
        lineage=LineageOverlap(num_test_groups=case.num_items + 2, num_dropped={"champion": 2},
                               num_dropped_total=2, unknown=("challenger",)),
        budgets=Budgets(latency_p95_ms=11.3, peak_memory_bytes=640 * 10**6, artifact_bytes=91 * 10**6),
        parity=Parity(num_compared=200, num_equal_labels=200, max_abs_difference=3.1e-7),
        policy=GatePolicy(minimum=0.85, slices=SlicePolicy(columns=tuple(sorted(items.slices)))),
        attempt=1, num_test_uses=3, ledger_sequence=0 if is_first else 4,
        ledger_hash="" if is_first else digest_of("head"),
        anchor_digest="" if is_first else other.model_digest,
    )  # fmt: skip
    decision = Decision(
        gate_version=GATE_VERSION, record_digest=record.digest, summary=case.summary, kind=case.kind,
        verdict="promote" if case.kind == "promote" else "refuse", alpha_used=0.05,
        findings=tuple(findings(case, challenger, others)),
        comparisons=tuple(_comparison(challenger, o, items) for o in others),
        is_superior_to_anchor=False,
    )  # fmt: skip
    file = DecisionFile(record=record, decision=decision)
    return DecisionDocument(
        decision_digest=file.digest, outcome=case.outcome, file=file, data=data_of(case),
        train=train_of(case), costs=costs(), recipe=recipe_of(case),
        power=() if is_first else power_rows(case.num_items),
        model_version="5" if case.outcome == "promoted" else "",
        mlflow_url="http://localhost:5000/#/models/reviews", actor="ada", reason=case.reason,
        time="2026-11-23T14:05:12+00:00",
    )  # fmt: skip


SLICES = (
    "product=kettle", "product=headphones", "language=en", "language=zh", "product=lamp",
    "phenomenon=negation", "phenomenon=contrast",
)  # fmt: skip
FIRST = Case(
    against="baseline:tfidf", right=(0.93, 0.81), slices=SLICES,
    summary="The first model for reviews is right on 93 of 100 test texts and clearly beats the "
    "word-counting baseline.",
)  # fmt: skip
WORSE = Case(
    right=(0.86, 0.93), outcome="refused", kind="shown worse", slices=SLICES, seed=2,
    summary="The new model is shown to be worse than the model in place: it loses about 7 of 100 "
    "test texts more.",
)  # fmt: skip
SMALL = Case(
    num_items=210, right=(0.92, 0.925), outcome="refused", kind="not shown", seed=3,
    summary="The new model may be as good as the model in place, but 210 test texts are too few "
    "to show it.",
)  # fmt: skip
MANY = Case(
    name="banking", labels=tuple(f"intent_{i:02d}_card_question" for i in range(77)),
    num_items=1540, right=(0.93, 0.90), summary="It is better than the model in place.", seed=4,
)  # fmt: skip


def promoted_first() -> DecisionDocument:
    return build(FIRST)


def shown_worse() -> DecisionDocument:
    return build(WORSE)


def not_shown() -> DecisionDocument:
    return build(SMALL)


def many_labels() -> DecisionDocument:
    return build(MANY)


def held() -> DecisionDocument:
    return build(replace(Case(), outcome="held", reason="On hold since the rollback of version 4."))


def unchanged() -> DecisionDocument:
    return build(replace(Case(), outcome="unchanged"))


def broken() -> DecisionDocument:
    """NaN scores, a short list, an unloadable champion, no reports, nothing measured."""
    case = Case(outcome="refused", kind="broken", num_items=40, against="champion",
                summary="The evidence is broken: the challenger's scores are not numbers.")  # fmt: skip
    whole = build(case)
    record, nan = whole.file.record, math.nan
    challenger = record.challenger.model_copy(
        update={
            "metrics": {"accuracy": nan, "log_loss": math.inf, "f1:negative": nan},
            "predicted": record.challenger.predicted[:17],
            "confidence": (nan, *record.challenger.confidence[:9]),
        }
    )
    champion = Scorecard(
        role="champion", model_digest="0" * 64, fingerprint=record.challenger.fingerprint,
        error="cannot be loaded: model.safetensors is missing",
    )  # fmt: skip
    empty = Interval(estimate=None, lower=None, upper=None, method="tango")
    odd = Interval(estimate=nan, lower=-math.inf, upper=nan, method="bootstrap")
    found = (
        Finding(rule="complete", state="refused", reason="accuracy of the challenger is NaN."),
        Finding(rule="floor", state="refused", reason="No bound.", interval=odd, limit=nan),
        Finding(rule="champion", state="refused", reason="No bound.", interval=empty, limit=-0.02),
        Finding(rule="slice:language=zh", state="refused", reason="No bound.", interval=odd),
    )
    new_record = record.model_copy(
        update={"challenger": challenger, "champion": champion, "anchor": None, "budgets": None,
                "check_report": None, "lineage": None, "parity": None}
    )  # fmt: skip
    decision = whole.file.decision.model_copy(
        update={"findings": found, "alpha_used": nan, "summary": ""}
    )
    curve = (*whole.train.curve, CurvePoint(step=455, epoch=3.1, name="loss", value=nan))
    update = {"curve": curve, "best_value": nan, "samples_per_s": nan, "wall_s": math.inf}
    return whole.model_copy(
        update={
            "file": DecisionFile(record=new_record, decision=decision),
            "train": whole.train.model_copy(update=update),
            "costs": (), "power": (), "recipe": {"nan": nan}, "time": "yesterday",
        }
    )  # fmt: skip


def data_refused() -> DecisionDocument:
    """A blocking check failed; nothing was trained or scored."""
    whole = build(
        Case(outcome="data_refused", kind="broken", summary="9 rows carry unknown labels.")
    )
    failed = CheckResult(
        name="label_in_set", column="label", blocking=True, passed=False, observed="'postive'",
        limit="negative, positive", num_failed=9, next_step="Mend the labels or declare them.",
        examples=(RowRef(file="data/reviews.csv", row=4, line=5, column="label"),),
    )  # fmt: skip
    report = whole.data.report.model_copy(update={"results": (failed,)})
    return whole.model_copy(update={"data": whole.data.model_copy(update={"report": report})})


def hostile() -> DecisionDocument:
    """Markup, Markdown and control characters wherever a text can be; half surrogates only in texts."""
    labels = (f"neg{HOSTILE}", MARKDOWN, "\u202eevil\x00")
    whole = build(Case(name=f"m{HOSTILE}", labels=labels, num_items=60, slices=(f"x={HOSTILE}",),
                       summary=f"{MARKDOWN} {HOSTILE}", reason=HOSTILE))  # fmt: skip
    findings_ = tuple(
        f.model_copy(update={"reason": f"{HOSTILE}{MARKDOWN}"})
        for f in whole.file.decision.findings
    )
    decision = whole.file.decision.model_copy(update={"findings": findings_})
    file = whole.file.model_copy(update={"decision": decision})
    return whole.model_copy(
        update={"file": file, "mlflow_url": "javascript:window.hacked=1", "actor": HOSTILE,
                "recipe": {HOSTILE: HOSTILE}, "time": HOSTILE, "model_version": HOSTILE,
                "decision_digest": HOSTILE}
    )  # fmt: skip


TEXTS = (
    "Not a bad kettle at all: it boils quickly, and I would buy it again.",
    "这个耳机的声音不如上一代，但是戴着很舒服。",
    "המנורה הזאת נשברה אחרי יומיים (model X-200), ואין תשובה מהחנות.",
    "هذا المنتج ليس سيئًا، لكنه أغلى مما يستحق.",
    "I wanted to love this lamp.\nThe switch broke on day two; the shop said\twait.",
    "Is it better than the old one? Hardly.",
)


def texts_of(document: DecisionDocument) -> dict[str, str]:
    """A text for most flips; every ninth is missing."""
    flips = [i for c in document.file.decision.comparisons for i in c.flips]
    return {item: TEXTS[n % len(TEXTS)] for n, item in enumerate(flips) if n % 9 != 8}


ALL = {
    "promoted_first": promoted_first, "shown_worse": shown_worse, "not_shown": not_shown,
    "many_labels": many_labels, "held": held, "unchanged": unchanged, "broken": broken,
    "data_refused": data_refused, "hostile": hostile,
}  # fmt: skip
