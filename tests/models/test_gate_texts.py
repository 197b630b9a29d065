"""The gate on texts that models wrote: corpus metrics from integers, and closed on doubt as well."""

import random
from typing import Any

import pytest

from models.corpus import corpus_figures
from models.gate import decide
from models.intervals import pair, score
from models.reference_scores import score_texts
from records.base import sha256
from records.decision import Decision, GateRecord
from records.policy import GatePolicy, SlicePolicy
from records.scores import Scorecard, TestItems
from tests.models.gate_records import card_of, items_of, record_of

NUM = 300
WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "house",
    "big",
    "small",
    "old",
    "very",
    "quickly",
    "home",
]
REFERENCES = [
    [" ".join(random.Random(i).choice(WORDS) for _ in range(4 + i % 9))] for i in range(NUM)
]


def texts(share_wrong: float, *, only: range = range(NUM)) -> list[str]:
    """The references with that share of their words replaced, in the items of `only`."""
    rng = random.Random(9)
    return [
        " ".join(rng.choice(WORDS) if rng.random() < share_wrong and i in only else word
                 for word in row[0].split())
        for i, row in enumerate(REFERENCES)
    ]  # fmt: skip


def items() -> TestItems:
    blank = items_of(NUM, labels=("",))
    lengths = tuple("short" if i % 9 < 3 else "long" for i in range(NUM))
    return blank.model_copy(update={"slices": {"length": lengths}})


def card(outputs: list[str], role: str = "challenger", **changes: Any) -> Scorecard:
    found = score_texts(outputs, REFERENCES, language="en")
    blank = card_of(items(), role=role)
    values = {
        "model_labels": (),
        "predicted": tuple(sha256(text.encode())[:16] for text in outputs),
        "log_loss": (),
        "confidence": (),
        "statistics": found.statistics,
        "metrics": corpus_figures(found.statistics),
        "fingerprint": blank.fingerprint.model_copy(update={"signatures": found.signatures}),
    }
    return blank.model_copy(update=values | changes)


def record(challenger: Scorecard, champion: Scorecard | None, **policy: Any) -> GateRecord:
    limits = GatePolicy(**{"metric": "chrf", "minimum": 0.3, "margin": 0.02, **policy})
    return record_of(
        items(), challenger, champion, baseline=card(texts(0.9), "baseline:copy"), policy=limits,
        task="translation",
        **({} if champion else {"expected_baselines": ("baseline:copy",)}),
    )  # fmt: skip


def rules(decision: Decision) -> list[str]:
    return [finding.rule for finding in decision.refusals]


@pytest.mark.parametrize("metric", ["chrf", "bleu"])
def test_a_better_translator_is_promoted_and_a_worse_one_is_shown_worse(metric: str) -> None:
    good, bad = card(texts(0.1)), card(texts(0.4))
    old = {"role": "champion"}
    better = decide(record(good, bad.model_copy(update=old), metric=metric))
    assert better.verdict == "promote", better.summary
    assert better.comparisons[0].num_wins > better.comparisons[0].num_losses
    worse = decide(record(bad, good.model_copy(update=old), metric=metric))
    assert (worse.verdict, worse.kind) == ("refuse", "shown worse")
    assert {"champion", "anchor"} <= set(rules(worse))


def test_a_first_translator_must_beat_the_copy_of_its_source() -> None:
    assert decide(record(card(texts(0.1)), None)).verdict == "promote"
    assert rules(decide(record(card(texts(0.9)), None))) == ["floor", "baseline:copy"]


def test_a_loss_on_one_slice_refuses_what_the_whole_hides() -> None:
    short = range(0, NUM, 9)
    harmed = card(texts(0.7, only=short))
    limits = SlicePolicy(columns=("length",), margin=0.05)
    found = decide(record(harmed, card(texts(0), "champion"), margin=0.15, slices=limits))
    assert rules(found) == ["slice:length=short"]


def test_flips_begin_with_the_largest_losses() -> None:
    found = decide(record(card(texts(0.5)), card(texts(0.1), "champion")))
    compared = found.comparisons[0]
    assert 0 < len(compared.flips) <= 400
    ours = dict(zip(items().item_ids, texts(0.5), strict=True))
    theirs = dict(zip(items().item_ids, texts(0.1), strict=True))
    assert ours[compared.flips[0]] != theirs[compared.flips[0]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predicted": ()}, "predicted has 0 entries"),
        ({"statistics": {}}, "the integers of its chrf are missing"),
        ({"metrics": {"chrf": float("nan")}}, "its chrf is nan"),
        ({"metrics": {"chrf": 0.99}}, "its items give"),
        ({"metrics": {}}, "its chrf is missing"),
        ({"statistics": {"chrf": ((1, 1, 2) * 6,) * NUM}}, "contradict each other"),
        ({"statistics": {"chrf": ((1, 1, -1) * 6,) * NUM}}, "outside 0 to"),
        ({"statistics": {"chrf": ((1, 1, 1) * 5,) * NUM}}, "needs 18 integers"),
        ({"statistics": {"chrf": ()}}, "chrf has 0 entries"),
        ({"statistics": {"made_up": ((1,),) * NUM}}, "made_up is no corpus metric"),
        ({"item_ids": ("x",) * NUM}, "its item ids are not those"),
    ],
)
def test_broken_evidence_of_texts_refuses(changes: dict[str, Any], said: str) -> None:
    found = decide(record(card(texts(0.1), **changes), card(texts(0.4), "champion")))
    assert found.verdict == "refuse"
    assert said in found.refusals[0].reason


def test_another_tokenizer_is_not_comparable() -> None:
    old = card(texts(0.4), "champion")
    signatures = {**old.fingerprint.signatures, "bleu": "tok:zh"}
    other = old.fingerprint.model_copy(update={"signatures": signatures})
    found = decide(record(card(texts(0.1)), old.model_copy(update={"fingerprint": other})))
    assert rules(found) == ["fingerprints"]
    assert "signatures" in found.refusals[0].reason


def test_one_text_for_everything_refuses() -> None:
    same = card(["the cat sat on the big mat"] * NUM)
    assert "constant" in rules(decide(record(same, card(texts(0.9), "champion"), minimum=0.05)))


def test_a_metric_of_another_task_refuses() -> None:
    wrong = record_of(policy=GatePolicy(metric="bleu", minimum=0.1))
    assert "bleu is no metric of classification" in decide(wrong).refusals[0].reason
    labels = record(card(texts(0.1)), None).model_copy(
        update={"policy": GatePolicy(metric="accuracy", minimum=0.1)}
    )
    assert "accuracy is no metric of translation" in str(decide(labels).refusals[0].reason)


def test_a_translators_own_interval_holds_its_score() -> None:
    ours = card(texts(0.3))
    found = score(pair(items(), ours), "bleu", 0.05)
    assert found.estimate == pytest.approx(ours.metrics["bleu"], abs=1e-9)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < ours.metrics["bleu"] < found.upper
