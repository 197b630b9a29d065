"""Figures: by hand, and against scikit-learn."""

import math
import random

import pytest
import sklearn.metrics

from models.metrics import UNKNOWN_LABEL_LOSS, calibration_error, figures, per_class_f1

NAMES = ("a", "b", "c")


def drawn(seed: int, num_items: int = 200) -> tuple[list[str], list[str]]:
    """True and predicted labels; some of the predictions are a label that the truth lacks."""
    draw = random.Random(seed)
    labels = draw.choices(NAMES, (5, 2, 1), k=num_items)
    predicted = [y if draw.random() < 0.7 else draw.choice((*NAMES, "d")) for y in labels]
    return labels, predicted


@pytest.mark.parametrize("seed", range(5))
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    labels, predicted = drawn(seed)
    losses = [0.5] * len(labels)
    found = figures(labels, predicted, losses, losses)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    expected = sklearn.metrics.f1_score(labels, predicted, labels=NAMES, average=None)
    assert [found[f"f1:{name}"] for name in NAMES] == pytest.approx(list(expected))
    macro = sklearn.metrics.f1_score(labels, predicted, labels=NAMES, average="macro")
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["log_loss"] == 0.5
    assert "f1:d" not in found


def test_macro_f1_by_hand() -> None:
    found = figures(["a", "a", "a", "b"], ["a", "a", "b", "b"], [0.0, 1.0, 2.0, 3.0], [1.0] * 4)
    assert found["f1:a"] == pytest.approx(4 / 5)  # precision 1, recall 2/3
    assert found["f1:b"] == pytest.approx(2 / 3)  # precision 1/2, recall 1
    assert found["macro_f1"] == pytest.approx(11 / 15)
    assert (found["accuracy"], found["log_loss"]) == (0.75, 1.5)
    assert found["ece"] == pytest.approx(0.25)


def test_f1_of_a_class_never_found_is_zero() -> None:
    assert per_class_f1(["a", "b"], ["a", "a"]) == {"a": pytest.approx(2 / 3), "b": 0.0}


def test_calibration_error_of_a_worked_example() -> None:
    """Bins [0.6, 0.7): |1.3 - 1| = 0.3; [0.8, 0.9): |0.85 - 1| = 0.15; [0.9, 1]: 2.85 - 2 = 0.85."""
    confidence = [0.62, 0.68, 0.85, 0.90, 0.95, 1.00]
    correct = [True, False, True, True, False, True]
    assert calibration_error(confidence, correct) == pytest.approx((0.3 + 0.15 + 0.85) / 6)
    together = calibration_error(confidence, correct, num_bins=1)
    assert together == pytest.approx((5.0 - 4) / 6)


def test_calibration_error_sees_through_bins_that_cancel() -> None:
    confidence, correct = [0.75] * 4 + [0.55] * 4, [True] * 2 + [False] * 2 + [True] * 3 + [False]
    assert calibration_error(confidence, correct) == pytest.approx((1.0 + 0.8) / 8)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_confidence_that_is_not_finite_gives_nan_and_no_crash(broken: float) -> None:
    """The gate refuses NaN; a crash would look like a fault that a retry may mend."""
    found = figures(["a", "b"], ["a", "b"], [0.1, broken], [0.9, broken])
    assert math.isnan(found["ece"])
    assert not math.isfinite(found["log_loss"])


def test_figures_refuse_no_items_and_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="no items"):
        figures([], [], [], [])
    with pytest.raises(ValueError, match="shorter"):
        figures(["a", "b"], ["a"], [0.1, 0.1], [0.9, 0.9])


def test_an_unknown_label_costs_27_nats() -> None:
    assert pytest.approx(27.631, abs=1e-3) == UNKNOWN_LABEL_LOSS
