"""ROUGE-L by hand, against the plain recursion, and in scripts without spaces."""

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from data_checks.sample_dialogues import DialogueOptions, generate
from models.corpus import CORPUS_METRICS, corpus_figures
from models.rouge import common_length, rouge_l
from records.dialogue import split_answer

LATIN = "The lamp, is 40 euros! It's red; (very) RED - and U.S. made, I'd say... a 3.5-inch"


@pytest.mark.parametrize(
    ("output", "references", "share"),
    [
        # Lin (2004), section 3: S1 with S2 and with S3
        ("police kill the gunman", ["police killed the gunman"], 0.75),
        ("the gunman kill police", ["police killed the gunman"], 0.5),
        ("The lamp, please!", ["the LAMP please"], 1.0),
        ("It is red.", ["It is blue.", "it is red"], 1.0),
        ("红色的灯", ["红灯"], 4 / 6),
        ("", ["something"], 0.0),
        ("anything", [""], 0.0),
        ("a b", ["a b c d"], 2 * 1.0 * 0.5 / 1.5),
    ],
)
def test_rouge_l_is_the_f1_of_the_words_in_common_order(
    output: str, references: list[str], share: float
) -> None:
    assert rouge_l(output, references) == round(1e6 * share)


def test_the_bits_count_what_the_recursion_counts() -> None:
    rng = random.Random(4)
    for _ in range(200):
        a, b = (rng.choices("abcd", k=rng.randrange(0, 90)) for _ in range(2))
        assert common_length(a, b) == _plain(a, b)


def test_the_library_gives_the_same_in_latin_script() -> None:
    """On words of a-z and digits; it knows no others, and takes Ä for a space."""
    library = pytest.importorskip("rouge_score.rouge_scorer", reason="not installed: make install")
    scorer = library.RougeScorer(["rougeL"], use_stemmer=False)
    rng = random.Random(5)
    rows = [row["messages"] for row in generate(DialogueOptions(num=40))]
    words = LATIN.split()
    pairs = [(split_answer(a)[1], split_answer(b)[1]) for a, b in pairwise(rows)]
    pairs += [tuple(" ".join(rng.choices(words, k=rng.randrange(1, 30))) for _ in range(2))
              for _ in range(200)]  # fmt: skip
    found = [rouge_l(answer, [right]) for answer, right in pairs]
    expected = [scorer.score(right, answer)["rougeL"].fmeasure for answer, right in pairs]
    assert len({round(share, 3) for share in expected}) > 50
    assert found == [pytest.approx(1e6 * share, abs=0.51) for share in expected]
    rights = ["a lamp", "the red lamps"]
    best = scorer.score_multi(rights, "the red lamp")["rougeL"].fmeasure
    assert rouge_l("the red lamp", rights) == pytest.approx(1e6 * best, abs=0.51)


def test_a_corpus_has_the_mean_of_its_items_scores() -> None:
    rows = tuple((rouge_l(a, [b]), 1) for a, b in [("a b", "a b"), ("a", "b"), ("a b c d", "a d")])
    assert corpus_figures({"rouge_l": rows})["rouge_l"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    is_possible = CORPUS_METRICS["rouge_l"].is_possible
    assert is_possible(np.array([[10**6, 1]])).all()
    assert not is_possible(np.array([[10**6 + 1, 1], [-1, 1], [0, 2]])).any()


def _plain(a: Sequence[str], b: Sequence[str]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            same = table[i][j] + 1
            table[i + 1][j + 1] = same if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]
