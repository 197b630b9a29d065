"""The gate cannot be fooled: sound records pass, and none of the attacks does."""

import functools
import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from models.gate import GATE_VERSION, alpha_of_attempt, decide
from records.base import digest_of
from records.decision import Decision, Finding, GateRecord, Interval, LineageOverlap
from records.policy import BudgetPolicy, GatePolicy, Metric, SlicePolicy
from records.scores import Budgets, Parity, Scorecard
from tests.models.gate_records import card_of, items_of, record_of, report_of

NAN = float("nan")
GOLDEN = "9273ce86dc4e2f2794ffbad5a27969f4c4922ea227922712b46f5a36daeec8fa"
SUPERIOR = GatePolicy(minimum=0.8, rule="superior")
CHAMPION_ERRORS = range(20, 40)


def finding(decision: Decision, rule: str) -> Finding:
    return next(f for f in decision.findings if f.rule == rule)


def interval(decision: Decision, rule: str) -> Interval:
    found = finding(decision, rule).interval
    assert found is not None
    return found


def lower(decision: Decision, rule: str) -> float:
    bound = interval(decision, rule).lower
    assert bound is not None
    return bound


def refused_rules(decision: Decision) -> list[str]:
    return [f.rule for f in decision.refusals]


def change(role: str, **fields: Any) -> Callable[[GateRecord], GateRecord]:
    """An attack on one scorecard (or other member) of a sound record."""

    def attack(record: GateRecord) -> GateRecord:
        return record.model_copy(update={role: getattr(record, role).model_copy(update=fields)})

    return attack


def replace(**fields: Any) -> Callable[[GateRecord], GateRecord]:
    return lambda record: record.model_copy(update=fields)


def with_policy(**fields: Any) -> Callable[[GateRecord], GateRecord]:
    return lambda r: r.model_copy(update={"policy": r.policy.model_copy(update=fields)})


def spoil(
    role: str, field: str, value: object, position: int = 7
) -> Callable[[GateRecord], GateRecord]:
    """One entry of a per-item tuple is replaced."""

    def attack(record: GateRecord) -> GateRecord:
        values = list(getattr(getattr(record, role), field))
        values[position] = value
        return change(role, **{field: tuple(values)})(record)

    return attack


def shorten(role: str, field: str) -> Callable[[GateRecord], GateRecord]:
    return lambda r: change(role, **{field: getattr(getattr(r, role), field)[:-1]})(r)


def without_metric(record: GateRecord) -> GateRecord:
    metrics = {k: v for k, v in record.challenger.metrics.items() if k != "accuracy"}
    return change("challenger", metrics=metrics)(record)


def overlap(groups: int, dropped: dict[str, int], total: int) -> LineageOverlap:
    return LineageOverlap(num_test_groups=groups, num_dropped=dropped, num_dropped_total=total)


FIRST = record_of(champion=None)
BUDGETS = BudgetPolicy(latency_p95_ms=9.5, peak_memory_mb=500, artifact_mb=100)

BROKEN = {
    "NaN loss": (spoil("challenger", "log_loss", NAN), "complete"),
    "infinite loss": (spoil("champion", "log_loss", math.inf), "complete"),
    "negative loss": (spoil("challenger", "log_loss", -0.1), "complete"),
    "NaN confidence": (spoil("anchor", "confidence", NAN), "complete"),
    "confidence above 1": (spoil("challenger", "confidence", 1.5), "complete"),
    "NaN metric": (change("challenger", metrics={"accuracy": NAN}), "complete"),
    "missing metric": (without_metric, "complete"),
    "untrue metric": (change("challenger", metrics={"accuracy": 0.99}), "complete"),
    "untrue champion's metric": (change("champion", metrics={"accuracy": 0.5}), "complete"),
    "short predictions": (shorten("challenger", "predicted"), "complete"),
    "short champion": (shorten("champion", "predicted"), "complete"),
    "short losses": (shorten("challenger", "log_loss"), "complete"),
    "short labels": (shorten("items", "labels"), "complete"),
    "short groups": (shorten("items", "groups"), "complete"),
    "short slice": (change("items", slices={"language": ("en",)}), "complete"),
    "repeated id": (spoil("items", "item_ids", "item-00000"), "complete"),
    "other ids": (spoil("challenger", "item_ids", "item-x"), "complete"),
    "unknown answer": (spoil("challenger", "predicted", "maybe"), "complete"),
    "labels of one name": (change("challenger", model_labels=("neg", "neg", "pos")), "complete"),
    "crashed evaluation": (change("challenger", error="out of memory"), "complete"),
    "unloadable champion": (change("champion", error="no such file"), "complete"),
    "unloadable anchor": (change("anchor", error="no such file"), "complete"),
    "no anchor": (replace(anchor=None), "complete"),
    "champion left out": (replace(champion=None), "complete"),
    "empty ledger with champion": (replace(ledger_sequence=0), "complete"),
    "another anchor": (replace(anchor_digest="a" * 64), "complete"),
    "head without hash": (replace(ledger_hash=""), "complete"),
    "attempt 0": (replace(attempt=0), "complete"),
    "negative uses": (replace(num_test_uses=-1), "complete"),
    "another gate's record": (replace(gate_version=GATE_VERSION + 1), "complete"),
    "NaN minimum": (with_policy(minimum=NAN), "complete"),
    "lone surrogate": (replace(name="\ud800"), "complete"),
    "endless number": (replace(attempt=10**5000), "complete"),
    "checks missing": (replace(check_report=None), "checks"),
    "checks unrun": (replace(check_report=report_of(results=())), "checks"),
    "checks elsewhere": (replace(data_digest="6" * 64), "checks"),
    "rows lost": (replace(check_report=report_of(num_kept=3989)), "checks"),
    "rows negative": (replace(check_report=report_of(num_kept=4010, dropped={"x": -10})), "checks"),
    "no lineage": (replace(lineage=None), "lineage"),
    "lineage of another test": (replace(lineage=overlap(500, {}, 0)), "lineage"),
    "lineage in contradiction": (replace(lineage=overlap(401, {"anchor": 4}, 1)), "lineage"),
    "no parity": (replace(parity=None), "parity"),
    "budget unmeasured": (
        lambda r: replace(budgets=None)(with_policy(budgets=BUDGETS)(r)),
        "budgets:measured",
    ),
}  # fmt: skip

PARITY = {
    "nothing compared": Parity(num_compared=0, num_equal_labels=0, max_abs_difference=0),
    "one label differs": Parity(num_compared=64, num_equal_labels=63, max_abs_difference=0),
    "probability differs": Parity(num_compared=64, num_equal_labels=64, max_abs_difference=1.1e-4),
    "NaN": Parity(num_compared=64, num_equal_labels=64, max_abs_difference=NAN),
}


def test_a_slightly_better_challenger_is_promoted() -> None:
    decision = decide(record_of())
    assert (decision.verdict, decision.kind) == ("promote", "promote")
    assert decision.alpha_used == 0.025
    assert not decision.is_superior_to_anchor
    assert "a loss of 0.02 or more is ruled out" in decision.summary


def test_a_first_champion_better_than_its_baseline_is_promoted_and_anchored() -> None:
    decision = decide(FIRST)
    assert decision.verdict == "promote"
    assert decision.is_superior_to_anchor
    assert finding(decision, "baseline:tfidf").limit == 0.0
    assert "first champion" in decision.summary


@pytest.mark.parametrize("name", BROKEN)
def test_broken_evidence_refuses(name: str) -> None:
    attack, rule = BROKEN[name]
    decision = decide(attack(record_of()))
    assert (decision.verdict, decision.kind) == ("refuse", "broken")
    assert rule in refused_rules(decision)
    assert not decision.is_superior_to_anchor


@pytest.mark.parametrize("name", PARITY)
def test_an_artifact_that_answers_otherwise_refuses(name: str) -> None:
    assert refused_rules(decide(record_of(parity=PARITY[name]))) == ["parity"]


def test_parity_on_its_limit_passes() -> None:
    parity = Parity(num_compared=1, num_equal_labels=1, max_abs_difference=1e-4)
    assert decide(record_of(parity=parity)).verdict == "promote"


def test_an_empty_test_split_refuses() -> None:
    items = items_of(0)
    empty = card_of(items, model_labels=("neg", "pos"))
    decision = decide(record_of(items, empty, empty, empty))
    assert decision.kind == "broken"
    assert "the test split is empty" in finding(decision, "complete").reason


def test_a_failed_check_refuses_and_is_named() -> None:
    failed = report_of().results[0].model_copy(update={"passed": False, "observed": "3"})
    decision = decide(record_of(check_report=report_of(results=(failed,))))
    assert refused_rules(decision) == ["checks"]
    assert "labels failed: 3, limit 2" in decision.summary


@pytest.mark.parametrize("role", ["challenger", "champion", "anchor"])
@pytest.mark.parametrize("field", ["test_digest", "code_digest", "dtype", "scoring_version"])
def test_scorecards_scored_otherwise_are_not_comparable(role: str, field: str) -> None:
    record = record_of()
    card: Scorecard = getattr(record, role)
    value = 9 if field == "scoring_version" else "other"
    print_ = card.fingerprint.model_copy(update={field: value})
    decision = decide(change(role, fingerprint=print_)(record))
    assert (decision.verdict, decision.kind) == ("refuse", "not comparable")
    assert refused_rules(decision) == ["fingerprints"]


def test_scorecards_of_other_labels_are_not_comparable_even_if_all_agree() -> None:
    record = record_of()
    shuffled = items_of(labels=("pos", "neg"))
    cards = {
        role: card_of(shuffled, range(20, 40), role)
        for role in ("challenger", "champion", "anchor")
    }
    decision = decide(record.model_copy(update=cards))
    assert decision.verdict == "refuse"


def test_a_twin_is_not_superior() -> None:
    decision = decide(record_of(challenger=CHAMPION_ERRORS, policy=SUPERIOR))
    assert (decision.verdict, decision.kind) == ("refuse", "not shown")
    assert refused_rules(decision) == ["champion"]
    assert lower(decision, "champion") < 0


def test_shuffled_labels_refuse() -> None:
    items = items_of(1000)
    predicted = list(items.labels)
    random.Random(1).shuffle(predicted)
    assert decide(record_of(items, card_of(items, predicted=predicted))).kind == "shown worse"


def test_permuted_label_names_refuse() -> None:
    assert "floor" in refused_rules(decide(record_of(challenger=range(400))))


def test_constant_output_refuses_even_where_it_scores_well() -> None:
    items = items_of(2000, labels=("neg",) * 99 + ("pos",))
    constant = card_of(items, predicted=["neg"] * 2000)
    decision = decide(
        record_of(items, constant, card_of(items, range(20)), policy=GatePolicy(minimum=0.8))
    )
    assert refused_rules(decision) == ["constant"]


def test_test_rows_in_the_training_refuse_above_the_limit() -> None:
    passed = decide(record_of(lineage=overlap(404, {"challenger": 4}, 4)))
    refused = decide(record_of(lineage=overlap(405, {"challenger": 5, "champion": 3}, 5)))
    assert passed.verdict == "promote"
    assert (refused.verdict, refused.kind) == ("refuse", "not comparable")
    assert refused_rules(refused) == ["lineage"]


def test_an_unknown_lineage_is_said() -> None:
    lineage = LineageOverlap(
        num_test_groups=400, num_dropped={}, num_dropped_total=0, unknown=("challenger",)
    )
    decision = decide(record_of(lineage=lineage))
    assert decision.verdict == "promote"
    assert finding(decision, "lineage:unknown").state == "noted"


def test_too_few_groups_refuse_even_with_many_items() -> None:
    items = items_of(400, groups=[f"g{i // 2 if i < 402 else i}" for i in range(400)])
    assert decide(record_of(items)).verdict == "promote"
    fewer = items_of(398, groups=[f"g{i // 2}" for i in range(398)])
    decision = decide(record_of(fewer))
    assert (refused_rules(decision), decision.kind) == (["min_items"], "not shown")


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_floor_is_a_bound_and_a_tie_refuses(metric: Metric) -> None:
    bound = lower(decide(record_of(policy=GatePolicy(metric=metric, minimum=0.5))), "floor")
    assert bound < record_of().challenger.metrics[metric]
    tie = decide(record_of(policy=GatePolicy(metric=metric, minimum=bound)))
    assert (refused_rules(tie), tie.kind) == (["floor"], "not shown")
    just = decide(record_of(policy=GatePolicy(metric=metric, minimum=bound - 1e-9)))
    assert just.verdict == "promote"
    hopeless = decide(record_of(policy=GatePolicy(metric=metric, minimum=0.99)))
    assert hopeless.kind == "shown worse"


def test_log_loss_is_better_when_it_is_smaller() -> None:
    better = GatePolicy(metric="log_loss", minimum=0.3, rule="superior")
    good = decide(record_of(challenger=range(20, 24), policy=better))
    assert good.verdict == "promote"
    swapped = decide(record_of(challenger=CHAMPION_ERRORS, champion=range(20, 24), policy=better))
    assert (swapped.verdict, swapped.kind) == ("refuse", "shown worse")
    own = interval(good, "floor")
    strict = better.model_copy(update={"minimum": own.upper})
    assert refused_rules(decide(record_of(challenger=range(20, 24), policy=strict))) == ["floor"]


def test_a_first_champion_no_better_than_its_baseline_refuses() -> None:
    decision = decide(record_of(champion=None, baseline=range(20, 40)))
    assert refused_rules(decision) == ["baseline:tfidf"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"baselines": ()}, "baseline:tfidf: not scored"),
        ({"expected_baselines": ()}, "neither champion nor baseline"),
        ({"baselines": (), "expected_baselines": ()}, "neither champion nor baseline"),
        ({"baselines": FIRST.baselines * 2}, "two baselines have one name"),
    ],
)
def test_a_first_champion_without_its_baselines_refuses(
    fields: dict[str, Any], reason: str
) -> None:
    decision = decide(FIRST.model_copy(update=fields))
    assert decision.kind == "broken"
    assert reason in finding(decision, "complete").reason


def test_after_a_retirement_the_baselines_judge_again() -> None:
    retired = FIRST.model_copy(update={"ledger_sequence": 4, "ledger_hash": "e" * 64})
    decision = decide(retired)
    assert decision.verdict == "promote"
    assert finding(decision, "ledger").state == "noted"
    assert decide(retired.model_copy(update={"expected_baselines": ()})).verdict == "refuse"


def test_a_model_that_was_rolled_back_stays_out() -> None:
    record = record_of()
    barred = replace(barred_digests=(record.challenger.model_digest,))(record)
    assert refused_rules(decide(barred)) == ["barred"]


def test_every_baseline_must_be_beaten() -> None:
    strong = card_of(FIRST.items, range(20, 37), role="baseline:untuned")
    decision = decide(FIRST.model_copy(update={"baselines": (*FIRST.baselines, strong)}))
    assert refused_rules(decision) == ["baseline:untuned"]


def test_the_two_models_are_not_swapped() -> None:
    better = decide(record_of(challenger=range(20, 26), policy=SUPERIOR))
    worse = decide(record_of(challenger=CHAMPION_ERRORS, champion=range(20, 26), policy=SUPERIOR))
    assert better.verdict == "promote"
    assert better.is_superior_to_anchor
    assert (worse.verdict, worse.kind) == ("refuse", "shown worse")


def test_a_tie_with_the_margin_refuses() -> None:
    bound = lower(decide(record_of()), "champion")
    tie = GatePolicy(minimum=0.8, margin=-bound)
    assert refused_rules(decide(record_of(policy=tie))) == ["champion", "anchor"]
    assert (
        decide(record_of(policy=GatePolicy(minimum=0.8, margin=-bound + 1e-9))).verdict == "promote"
    )


def test_the_anchor_is_judged_under_superior_too() -> None:
    decision = decide(
        record_of(
            challenger=range(20, 60), champion=range(20, 80), anchor=range(20, 40), policy=SUPERIOR
        )
    )
    assert refused_rules(decision) == ["anchor"]


def test_twenty_allowed_losses_do_not_get_past_the_anchor() -> None:
    items = items_of(2000)
    anchor = champion = card_of(items, range(100), "champion")
    num_promoted, num_stopped_by_anchor_only = 0, 0
    for generation in range(1, 21):
        challenger = card_of(items, range(100 + 10 * generation))
        decision = decide(
            record_of(items, challenger, champion, anchor, policy=GatePolicy(minimum=0.5))
        )
        num_stopped_by_anchor_only += refused_rules(decision) == ["anchor"]
        if decision.verdict == "promote":
            num_promoted += 1
            champion = challenger
    lost = anchor.metrics["accuracy"] - champion.metrics["accuracy"]
    assert num_promoted >= 1
    assert num_stopped_by_anchor_only >= 1
    assert 0 < lost < 0.02


def with_new_label(champion_errors: range, challenger_errors: range) -> GateRecord:
    """400 items of two old labels and 100 of a new one, which only the challenger knows."""
    items = items_of(500, labels=("neg", "pos", "neg", "pos", "odd"))
    old = [
        "neg" if y == "odd" else {"neg": "pos", "pos": "neg"}[y] if i in champion_errors else y
        for i, y in enumerate(items.labels)
    ]
    champion = card_of(items, role="champion", predicted=old, model_labels=("neg", "pos"))
    return record_of(items, challenger_errors, champion, policy=GatePolicy(minimum=0.7))


def test_a_new_label_counts_as_the_champions_error() -> None:
    decision = decide(with_new_label(range(100, 120), range(100, 118)))
    assert decision.verdict == "promote"
    assert interval(decision, "champion").estimate == 0.196
    assert "new: odd" in finding(decision, "labels").reason
    assert finding(decision, "champion:shared labels").num_items == 400


def test_a_new_label_does_not_hide_a_loss_on_the_others() -> None:
    decision = decide(with_new_label(range(100, 120), range(100, 150)))
    assert refused_rules(decision) == ["champion:shared labels", "anchor:shared labels"]
    assert not decision.is_superior_to_anchor


def test_a_removed_label_refuses() -> None:
    record = record_of()
    known = (*record.challenger.model_labels, "mixed")
    decision = decide(change("champion", model_labels=known)(record))
    assert (decision.kind, refused_rules(decision)) == ("not comparable", ["labels"])
    assert "mixed" in decision.summary


def test_models_without_a_common_label_are_not_comparable() -> None:
    items = items_of()
    stranger = card_of(items, role="champion", predicted=["odd"] * 400, model_labels=("odd",))
    assert decide(record_of(items, challenger=[3], champion=stranger)).kind == "not comparable"


def sliced(columns: tuple[str, ...] = ("source",), **fields: Any) -> GatePolicy:
    return GatePolicy(minimum=0.5, slices=SlicePolicy(columns=columns, **fields))


def planted(policy: GatePolicy, loss: int = 30) -> GateRecord:
    """2,000 items; as many are lost on the 200 of one source as are won elsewhere."""
    source = tuple("forum" if i < 200 else "shop" for i in range(2000))
    items = items_of(2000, slices={"source": source})
    return record_of(items, range(loss), range(300, 300 + loss), policy=policy)


def test_a_planted_loss_on_a_slice_refuses_though_the_whole_is_equal() -> None:
    assert decide(planted(GatePolicy(minimum=0.5))).verdict == "promote"
    decision = decide(planted(sliced()))
    assert (refused_rules(decision), decision.kind) == (["slice:source=forum"], "shown worse")
    assert finding(decision, "slice:source=shop").state == "passed"
    assert finding(decision, "slice:source=forum").num_items == 200


def test_an_undecidable_slice_is_listed_and_refuses_only_when_required() -> None:
    decision = decide(planted(sliced(), loss=8))
    assert decision.verdict == "promote"
    assert finding(decision, "slice:source=forum").state == "noted"
    required = decide(planted(sliced(required=("source=forum",)), loss=8))
    assert (refused_rules(required), required.kind) == (["slice:source=forum"], "not shown")
    held = decide(planted(sliced(required=("source=shop",)), loss=8))
    assert held.verdict == "promote"


def test_small_slices_are_listed_but_not_judged() -> None:
    decision = decide(planted(sliced(min_n=201)))
    assert decision.verdict == "promote"
    assert "fewer than 201" in finding(decision, "slice:source=forum").reason
    required = decide(planted(sliced(min_n=201, required=("source=forum",)), loss=0))
    assert refused_rules(required) == ["slice:source=forum"]


@pytest.mark.parametrize("required", ["source=nowhere", "source"])
def test_a_required_slice_without_items_refuses(required: str) -> None:
    decision = decide(planted(sliced(required=(required,)), loss=0))
    assert refused_rules(decision) == [f"slice:{required}"]


def test_an_undelivered_slice_column_refuses() -> None:
    assert refused_rules(decide(planted(sliced(("source", "city")), loss=0))) == ["slices"]


def test_the_label_slice_needs_no_column() -> None:
    items = items_of(
        2000, labels=("neg", "neg", "neg", "neg", "neg", "neg", "neg", "neg", "neg", "pos")
    )
    lost = [i for i in range(2000) if items.labels[i] == "pos"][:30]
    won = [i for i in range(2000) if items.labels[i] == "neg"][:30]
    decision = decide(record_of(items, lost, won, policy=sliced(("label",))))
    assert refused_rules(decision) == ["slice:label=pos"]


def test_a_new_label_does_not_hide_a_loss_on_the_rest_of_its_slice() -> None:
    """The champion errs on every item of a label that it does not know; that is no gain here."""
    labels = ("neg", "pos", "odd", "odd")
    items = items_of(2000, labels=labels, slices={"source": ("forum", "shop") * 1000})
    known = [i for i, y in enumerate(items.labels) if y != "odd"]
    lost = [i for i in known if items.slices["source"][i] == "forum"][:150]
    old = ["neg" if y == "odd" else y for y in items.labels]
    champion = card_of(items, role="champion", predicted=old, model_labels=("neg", "pos"))
    decision = decide(record_of(items, lost, champion, policy=sliced()))
    assert "slice:source=forum" in refused_rules(decision)


def test_small_losses_on_a_slice_do_not_add_up_past_the_anchor() -> None:
    """Against the champion 8 of 200 are no harm; against the anchor it is 30."""
    source = tuple("forum" if i < 200 else "shop" for i in range(2000))
    items = items_of(2000, slices={"source": source})
    record = record_of(items, range(30), range(22), range(300, 330), policy=sliced())
    decision = decide(record)
    assert finding(decision, "slice:source=forum").state == "noted"
    assert refused_rules(decision) == ["slice:source=forum (anchor)"]


def test_a_refusal_says_when_the_attempts_are_used_up() -> None:
    policy = GatePolicy(minimum=0.5, metric="macro_f1", margin=0.02)
    decision = decide(record_of(policy=policy, attempt=30))
    assert "attempt 30 on these rows" in finding(decision, "floor").reason


def test_holm_spares_a_slice_that_one_of_many_would_fail_by_chance() -> None:
    source = tuple(f"s{i // 200:02}" for i in range(4000))
    items = items_of(4000, slices={"source": source})
    record = record_of(items, range(17), range(2000, 2017), policy=sliced())
    decision = decide(record)
    p_value = finding(decision, "slice:source=s00").p_value
    assert p_value is not None
    assert 0.05 / 20 < p_value < 0.05
    assert decision.verdict == "promote"


def test_each_attempt_has_a_smaller_alpha_that_sums_to_the_whole() -> None:
    assert alpha_of_attempt(0.05, 1) == 0.025
    assert alpha_of_attempt(0.05, 3) == pytest.approx(0.05 / 12)
    assert sum(alpha_of_attempt(0.05, k) for k in range(1, 10_000)) == pytest.approx(0.05, rel=1e-3)


def test_the_third_seed_just_over_the_plain_bound_refuses() -> None:
    seed = record_of(challenger=range(20, 34), policy=SUPERIOR)
    assert decide(seed).verdict == "promote"
    decision = decide(seed.model_copy(update={"attempt": 3}))
    assert decision.alpha_used == pytest.approx(0.05 / 12)
    assert refused_rules(decision) == ["champion"]


def test_a_bootstrap_cannot_serve_a_tiny_alpha() -> None:
    policy = GatePolicy(metric="macro_f1", minimum=0.5)
    decision = decide(record_of(challenger=[20], policy=policy, attempt=100))
    assert refused_rules(decision) == ["floor", "champion", "anchor"]
    assert interval(decision, "champion").lower is None


@pytest.mark.parametrize(
    "measured",
    [
        Budgets(latency_p95_ms=9.5, peak_memory_bytes=400_000_000, artifact_bytes=91_000_000),
        Budgets(latency_p95_ms=9.4, peak_memory_bytes=500_000_000, artifact_bytes=91_000_000),
        Budgets(latency_p95_ms=9.4, peak_memory_bytes=400_000_000, artifact_bytes=100_000_001),
    ],
)
def test_budgets_refuse_at_their_limit(measured: Budgets) -> None:
    policy = GatePolicy(minimum=0.8, budgets=BUDGETS)
    below = Budgets(latency_p95_ms=9.4, peak_memory_bytes=499_999_999, artifact_bytes=99_999_999)
    assert decide(record_of(policy=policy, budgets=below)).verdict == "promote"
    assert refused_rules(decide(record_of(policy=policy, budgets=measured))) == ["budgets"]


@pytest.mark.parametrize("latency", [None, NAN, math.inf, 0.0, -1.0])
def test_a_budget_not_measured_refuses(latency: float | None) -> None:
    policy = GatePolicy(minimum=0.8, budgets=BudgetPolicy(latency_p95_ms=10))
    decision = decide(record_of(policy=policy, budgets=Budgets(latency_p95_ms=latency)))
    assert refused_rules(decision) == ["budgets:measured"]


def test_wear_is_noted_and_does_not_refuse() -> None:
    assert "wear" not in [f.rule for f in decide(record_of(num_test_uses=49)).findings]
    decision = decide(record_of(num_test_uses=50))
    assert decision.verdict == "promote"
    assert "change split.salt" in finding(decision, "wear").reason


def test_comparisons_list_losses_first() -> None:
    decision = decide(record_of(challenger=[3, 20, 21], champion=[20, 21, 9, 10]))
    compared = decision.comparisons[0]
    assert (compared.against, compared.num_wins, compared.num_losses) == ("champion", 2, 1)
    assert compared.flips == ("item-00003", "item-00009", "item-00010")
    assert compared.mcnemar_p == 1.0
    assert 0 < compared.minimum_detectable_effect < 0.05


def test_the_gravest_kind_is_named() -> None:
    record = record_of(challenger=range(20, 90))
    assert decide(record).kind == "shown worse"
    assert decide(record.model_copy(update={"parity": None})).kind == "broken"


def test_repeated_groups_use_the_wider_interval() -> None:
    groups = [f"g{min(i, 398)}" for i in range(400)]
    decision = decide(record_of(items_of(groups=groups)))
    assert interval(decision, "champion").method == "tango+bootstrap"
    assert interval(decision, "floor").method == "clopper-pearson+bootstrap"


@functools.cache
def samples() -> tuple[tuple[GateRecord, Decision], ...]:
    """One record of each way that a decision can go, decided."""
    groups = [f"g{min(i, 380)}" for i in range(400)]
    records = (
        record_of(),
        FIRST,
        planted(sliced(("source", "label"))),
        with_new_label(range(100, 120), range(100, 150)),
        record_of(items_of(groups=groups)),
        record_of(policy=GatePolicy(metric="macro_f1", minimum=0.8)),
        record_of(policy=GatePolicy(metric="log_loss", minimum=0.4, rule="superior")),
        spoil("challenger", "log_loss", NAN)(record_of()),
        replace(parity=None)(record_of(challenger=range(100))),
    )
    return tuple((record, decide(record)) for record in records)


def test_a_record_decides_the_same_after_a_round_trip_through_json() -> None:
    for record, decision in samples():
        assert decide(GateRecord.from_json(record.to_json())) == decision
        assert Decision.from_json(decision.to_json()) == decision
        assert decision.record_digest == record.digest


def test_the_order_of_items_does_not_move_a_bootstrap() -> None:
    items = items_of(labels=("neg", "neg", "pos"))
    backwards = items.model_copy(
        update={name: getattr(items, name)[::-1] for name in ("item_ids", "groups", "labels")}
    )
    policy = GatePolicy(metric="macro_f1", minimum=0.5)
    first = decide(record_of(items, range(20, 30), policy=policy))
    second = decide(record_of(backwards, range(370, 380), range(360, 380), policy=policy))
    assert interval(first, "champion") == interval(second, "champion")


def test_golden_decisions() -> None:
    # a change here is a change of the gate: raise GATE_VERSION and show its numbers in docs/log.md
    assert digest_of([decision.digest for _, decision in samples()]) == GOLDEN


def paths_of(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a JSON document."""
    children = (
        value.items() if isinstance(value, dict)
        else enumerate(value[:3]) if isinstance(value, list)
        else ()
    )  # fmt: skip
    return [path, *(p for key, child in children for p in paths_of(child, (*path, key)))]


HOSTILE: tuple[Any, ...] = (
    None,
    "NaN",
    "-Infinity",
    1e308,
    -1,
    0,
    10**90,
    "",
    "neg",
    [],
    ["neg"],
    {},
    {"neg": "NaN"},
    True,
)


def test_no_record_makes_the_gate_raise() -> None:
    policy = sliced(("source", "label"), required=("source=forum",)).model_copy(
        update={"budgets": BUDGETS, "min_items": 1}
    )
    small = items_of(12, slices={"source": ("forum", "shop") * 6})
    whole = json.loads(record_of(small, [1], [1, 2], policy=policy).to_json())
    first = json.loads(record_of(small, [1], None, baseline=[1, 2], policy=policy).to_json())
    rng, num_decided = random.Random(5), 0
    places = [(document, path) for document in (whole, first) for path in paths_of(document)[1:]]
    for document, path in rng.choices(places, k=800):
        broken = json.loads(json.dumps(document))
        target = broken
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = rng.choice(HOSTILE)
        try:
            record = GateRecord.model_validate_json(json.dumps(broken))
        except ValidationError:
            continue
        num_decided += 1
        Decision.from_json(decide(record).to_json())
    assert num_decided > 150
