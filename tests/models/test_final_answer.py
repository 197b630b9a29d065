"""The final number of an answer: one, exactly, however it is written; hedging gains nothing."""

import json
from decimal import Decimal

import pytest

from models.chat import is_match
from models.final_answer import final_number
from tests.conftest import shared_data

RIGHT = "He has 6 + 12 = <<6+12=18>>18 apples.\n#### 18"


@pytest.mark.parametrize(
    "answer",
    [
        "#### 18", "####18", "#### 18.", "#### 18.0", "#### +18", "#### $18", "#### $ 18.00",
        "#### 18 apples", "#### 18 (eighteen)", "####\n18", "#### ＄１８", "#### 018",
        "It is 18", "5 and 13 make 18.", "First #### 5, no:\n#### 18", "#### 18\nthe end, 19",
    ],
)  # fmt: skip
def test_the_right_number_is_right_however_it_is_written(answer: str) -> None:
    assert is_match(answer, RIGHT)


@pytest.mark.parametrize(
    "answer",
    [
        "", "####", "#### none", "#### 19", "#### -18", "#### 1.8e1", "#### 36/2", "#### 18^1",
        "#### 18 or 19", "#### 18, 19", "#### 18,19", "#### 17-18", "#### 18.5", "#### 18.19.20",
        "#### x18", "18 #### 19", "#### 18 ####", "#### 180", "#### --18", "#### 18 18", "18 or 19",
        "#### " + " ".join(map(str, range(100))), "#### " + "1" * 5000, "#### eighteen", "#### 0x12",
    ],
)  # fmt: skip
def test_a_wrong_or_a_hedged_number_is_wrong(answer: str) -> None:
    assert not is_match(answer, RIGHT)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("#### 1,234", "#### 1234"), ("#### 1234", "$1,234.00"), ("#### -5", "#### -$5"),
        ("#### -5", "#### $-5"), ("#### −5", "it is -5"), ("#### 0.5", "#### .50"),
        ("#### 1,000,000", "#### 1,000,000."),
    ],
)  # fmt: skip
def test_commas_currency_and_sign_are_ways_of_writing(reference: str, answer: str) -> None:
    assert is_match(answer, reference)


def test_a_right_answer_without_a_mark_is_compared_by_its_words() -> None:
    assert is_match("It costs 18.", "it costs 18.")
    assert not is_match("18", "It costs 18.")
    assert is_match("#### yes", "#### YES"), "what follows the mark is no number"
    assert is_match("#### 1/2", "#### 1/2"), "nor is this one that is known"


def test_every_right_answer_of_gsm8k_has_a_final_number() -> None:
    lines = (shared_data("gsm8k") / "train.jsonl").read_text("utf-8").splitlines()
    answers = [json.loads(line)["answer"] for line in lines]
    found = [final_number(answer, needs_mark=True) for answer in answers]
    assert not [a for a, n in zip(answers, found, strict=True) if n is None or n.is_nan()]
    assert found[0] == Decimal(72)
    assert all(is_match(answer, answer) for answer in answers)
