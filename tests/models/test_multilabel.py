"""Sets of labels judged: what scikit-learn says of the whole set, thresholds, losses, the gate."""

import math
import random

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, hamming_loss

from models.config import TrainConfig
from models.gate import decide
from models.intervals import gain, pair, score
from models.loss import label_set_loss, set_weights
from models.metrics import figures_of
from models.set_scores import (
    confidences,
    log_losses,
    set_scorecard,
    tune_thresholds,
    validation_figures,
)
from records.decision import Decision, GateRecord
from records.labels import write_labels
from records.policy import GatePolicy, Metric, SlicePolicy
from records.scores import Scorecard, TestItems
from tests.models.gate_records import record_of

LABELS = ("a", "b", "c", "d")
SHARES = (0.5, 0.3, 0.2, 0.05)


def true_sets(num: int = 400, seed: int = 0) -> np.ndarray:
    """(num, 4) of which each label is carried as often as SHARES say."""
    rng = random.Random(seed)
    return np.array([[rng.random() < share for share in SHARES] for _ in range(num)])


def garbled(true_NC: np.ndarray, share: float, seed: int = 1, only: str = "abcd") -> np.ndarray:
    """The sets with that share of decisions turned round."""
    rng = random.Random(seed)
    turned = [[rng.random() < share and name in only for name in LABELS] for _ in true_NC]
    return true_NC ^ np.array(turned)


def items_of(true_NC: np.ndarray) -> TestItems:
    ids = tuple(f"i{k:05}" for k in range(len(true_NC)))
    names = tuple(write_labels(named(row)) for row in true_NC)
    return TestItems(item_ids=ids, groups=ids, labels=names, has_label_sets=True)


def named(row: np.ndarray) -> list[str]:
    return [name for name, is_given in zip(LABELS, row, strict=True) if is_given]


def card_of(
    items: TestItems, given_NC: np.ndarray, role: str = "challenger", num_labels: int = 4
) -> Scorecard:
    """A model that gives these sets, and is 80 % sure of each decision."""
    given = given_NC[:, :num_labels]
    return set_scorecard(
        role=role, model_digest=role.ljust(64, "0"), items=items, labels=LABELS[:num_labels],
        probabilities=np.where(given, 0.8, 0.2), given=given,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_is_what_scikit_learn_says_of_the_whole_set(seed: int) -> None:
    true = true_sets(seed=seed)
    said = garbled(true, 0.15, seed)
    card = card_of(items_of(true), said)
    expected = {
        "micro_f1": f1_score(true, said, average="micro"),
        "macro_f1": f1_score(true, said, average="macro"),
        "accuracy": accuracy_score(true, said),
        "hamming_loss": hamming_loss(true, said),
        **{f"f1:{n}": f for n, f in zip(LABELS, f1_score(true, said, average=None), strict=True)},
    }
    for name, value in expected.items():
        assert card.metrics[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize(("metric", "average"), [("micro_f1", "micro"), ("macro_f1", "macro")])
def test_the_gate_aggregates_again_and_takes_no_mean_of_items(metric: Metric, average: str) -> None:
    true = true_sets()
    ours, theirs = garbled(true, 0.1), garbled(true, 0.2, seed=2)
    items = items_of(true)
    cards = card_of(items, ours), card_of(items, theirs, "champion")
    for keep in (np.full(400, fill_value=True), np.arange(400) % 7 < 3):
        own, other = (f1_score(true[keep], x[keep], average=average) for x in (ours, theirs))
        paired = pair(items, *cards, keep)
        found = gain(paired, metric, 0.05)
        assert found.method == "bootstrap"
        assert found.estimate == pytest.approx(own - other, abs=1e-9)
        assert found.lower is not None
        assert found.lower < own - other
        alone = score(pair(items, cards[0], keep=keep), metric, 0.05)
        assert alone.estimate == pytest.approx(own, abs=1e-9)
    of_items = np.mean([f1_score([t], [s], average="micro", zero_division=0)
                        for t, s in zip(true[keep], ours[keep], strict=True)])  # fmt: skip
    assert abs(of_items - own) > 0.01


def test_a_label_that_nobody_carries_costs_micro_f1_and_no_division_by_zero() -> None:
    true = np.zeros((3, 4), dtype=bool)
    card = card_of(items_of(true), true)
    assert (card.metrics["micro_f1"], card.metrics["accuracy"]) == (0.0, 1.0)
    true[0, 0] = True
    said = true.copy()
    said[1, 3] = True
    assert card_of(items_of(true), said).metrics["micro_f1"] == pytest.approx(2 / 3)


def test_thresholds_are_the_best_of_the_grid_and_near_one_half_where_nothing_is_won() -> None:
    rng = np.random.default_rng(3)
    carried = rng.random((500, 2)) < (0.5, 0.05)
    p = np.clip(rng.normal(np.where(carried, (0.7, 0.3), (0.3, 0.05)), 0.1), 0.001, 0.999)
    found = tune_thresholds(p, carried)
    for k in range(2):
        scores = {g / 100: f1_score(carried[:, k], p[:, k] >= g / 100) for g in range(1, 100)}
        assert scores[found[k]] == max(scores.values())
    assert found[1] < 0.35 < found[0]
    sure = np.array([[0.01], [0.02], [0.98]])
    assert tune_thresholds(sure, np.array([[False], [False], [True]])) == [0.5]
    assert tune_thresholds(sure, np.zeros((3, 1), dtype=bool)) == [0.5]


def test_validation_tunes_its_thresholds_before_it_judges() -> None:
    p = np.array([[0.3], [0.2], [0.1], [0.05]])
    found = validation_figures(p, ["a"], ['["a"]', '["a"]', "[]", "[]"])
    assert found["micro_f1"] == 1.0
    assert found["log_loss"] == pytest.approx(
        -sum(map(math.log, (0.3, 0.2, 0.9, 0.95))) / 4, abs=1e-12
    )


def test_an_unknown_label_costs_where_it_is_carried_and_all_models_count_the_same_labels() -> None:
    p = np.array([[0.9, 0.5], [0.9, 0.5]])
    costs = log_losses(p, ["a", "x"], [("a", "b"), ("a",)], ["a", "b"])
    assert costs[0] == pytest.approx((-math.log(0.9) - math.log(1e-12)) / 2)
    assert costs[1] == pytest.approx(-math.log(0.9) / 2)
    assert confidences(p, np.array([[True, False], [False, True]])) == pytest.approx([0.45, 0.05])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_cross_entropy_of_all_decisions(smoothing: float) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    weights = set_weights(TrainConfig(class_weights="balanced"), [2, 0, 1], 2)
    assert weights == [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    expected = 0.0
    for i in range(2):
        for c in range(3):
            p = 1 / (1 + math.exp(-float(logits[i, c])))
            y = float(labels[i, c])
            q = y * (1 - smoothing) + smoothing / 2
            expected -= weights[c][int(y)] * (q * math.log(p) + (1 - q) * math.log(1 - p)) / 6
    loss = label_set_loss(smoothing, weights)
    assert float(loss({"logits": logits}, labels)) == pytest.approx(expected, abs=1e-6)
    parts = [float(loss({"logits": logits[k : k + 1]}, labels[k : k + 1], 6)) for k in (0, 1)]
    assert sum(parts) == pytest.approx(expected, abs=1e-6)
    assert set_weights(TrainConfig(), [1, 2], 3) == [[1, 1], [1, 1]]


POLICY = GatePolicy(
    metric="micro_f1", minimum=0.5, margin=0.05,
    slices=SlicePolicy(columns=("label",), margin=0.1, min_n=10),
)  # fmt: skip


def sets_record(
    ours: np.ndarray, theirs: np.ndarray, *, known: int = 4, own: int = 4
) -> GateRecord:
    """A challenger that knows `own` of the labels against a champion that knows `known`."""
    items = items_of(true_sets())
    champion = card_of(items, theirs, "champion", known)
    return record_of(items, card_of(items, ours, num_labels=own), champion, policy=POLICY,
                     task="multilabel")  # fmt: skip


def finding(decision: Decision, rule: str) -> str:
    return next(f"{f.state}: {f.reason}" for f in decision.findings if f.rule == rule)


def test_a_better_model_of_sets_passes_and_its_record_replays() -> None:
    true = true_sets()
    record = sets_record(garbled(true, 0.05), garbled(true, 0.15, seed=2))
    decision = decide(record)
    assert decision.verdict == "promote", decision.summary
    assert decision.summary.startswith("Promote: micro-F1 0.9")
    assert decide(GateRecord.from_json(record.to_json())) == decision
    slices = {f.rule: f.num_items for f in decision.findings if f.rule.startswith("slice:")}
    assert slices == {
        f"slice:label={n}": int(c) for n, c in zip(LABELS, true.sum(axis=0), strict=True)
    }


def test_a_model_that_forgot_one_label_is_refused_for_the_items_that_carry_it() -> None:
    true = true_sets()
    forgot = true.copy()
    forgot[:, 3] = False
    decision = decide(sets_record(forgot, garbled(true, 0.02, seed=2, only="abc")))
    assert finding(decision, "champion").startswith("passed")
    assert [f.rule for f in decision.refusals] == ["slice:label=d"]
    assert finding(decision, "slice:label=a").startswith("passed: micro_f1 gain")


def test_a_new_label_is_the_champions_error_and_a_removed_one_refuses() -> None:
    true = true_sets()
    good = garbled(true, 0.03)
    added = decide(sets_record(good, good, known=3))
    assert finding(added, "labels") == "passed: new: d; each counts as the champion's error"
    assert finding(added, "champion:shared labels").startswith("passed: micro_f1 gain -0.0")
    removed = decide(sets_record(good, good, own=3))
    assert "no longer knows d" in finding(removed, "labels")
    assert removed.verdict == "refuse"


def test_what_is_no_set_is_broken_evidence_and_raises_nothing() -> None:
    true = true_sets()
    record = sets_record(true, garbled(true, 0.1))
    card, items = record.challenger, record.items
    broken = {
        "it answers 'a', which is none of its labels|its micro_f1 is": record.model_copy(
            update={"challenger": card.model_copy(update={"predicted": ("x", *card.predicted[1:])})}
        ),
        "1 labels are no sets of labels, e.g. 'a'": record.model_copy(
            update={"items": items.model_copy(update={"labels": ("a", *items.labels[1:])})}
        ),
        "the items are not labelled as those of multilabel are": record.model_copy(
            update={"items": items.model_copy(update={"has_label_sets": False})}
        ),
        "its micro_f1 is 0.900000, but its items give": record.model_copy(
            update={
                "challenger": card.model_copy(update={"metrics": {**card.metrics, "micro_f1": 0.9}})
            }
        ),
    }
    for said, one in broken.items():
        decision = decide(one)
        assert decision.kind == "broken"
        reasons = "; ".join(f.reason for f in decision.refusals)
        assert any(part in reasons for part in said.replace("'a', which", "'x', which").split("|"))
    assert figures_of(items, card.predicted, card.log_loss, card.confidence) == card.metrics
