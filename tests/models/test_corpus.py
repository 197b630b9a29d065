"""Corpus metrics from sums of integers are what sacrebleu itself says of the whole set."""

import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from models.corpus import CORPUS_METRICS, as_array, bleu, corpus_figures
from models.reference_scores import bleu_tokenizer, score_texts

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
    ",",
    ".",
    "old",
    "very",
    "quickly",
]
CHINESE = "我你他喜欢吃看大小书猫狗在家里。，"


def sentence(rng: random.Random, *, chinese: bool = False) -> str:
    if chinese:
        return "".join(rng.choice(CHINESE) for _ in range(rng.randrange(3, 20)))
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 14)))


def garbled(rng: random.Random, text: str, *, chinese: bool = False) -> str:
    """A translation with some words left out, doubled or wrong; now and then nothing at all."""
    if rng.random() < 0.05:
        return ""
    units = list(text) if chinese else text.split()
    kept = [rng.choice(units) if rng.random() < 0.2 else unit for unit in units
            if rng.random() < 0.9]  # fmt: skip
    return ("" if chinese else " ").join(kept)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chinese", [False, True])
def test_sums_give_what_sacrebleu_says_of_the_full_set(seed: int, chinese: bool) -> None:
    rng = random.Random(seed)
    references = [
        [sentence(rng, chinese=chinese) for _ in range(rng.choice((1, 1, 1, 3)))]
        for _ in range(60)
    ]  # fmt: skip
    outputs = [garbled(rng, row[0], chinese=chinese) for row in references]
    found = corpus_figures(score_texts(outputs, references, language=None).statistics)
    streams = [[row[k] if k < len(row) else None for row in references] for k in range(3)]
    expected = BLEU(tokenize="zh" if chinese else "13a").corpus_score(outputs, streams)
    assert found["bleu"] == pytest.approx(expected.score / 100, abs=1e-12)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(outputs, streams).score / 100)
    assert 0.2 < found["bleu"] < 1


def test_a_drawn_corpus_has_the_metric_of_its_own_sentences_not_the_mean_of_their_scores() -> None:
    rng = random.Random(5)
    references = [[sentence(rng)] for _ in range(40)]
    outputs = [garbled(rng, row[0]) for row in references]
    rows = as_array(score_texts(outputs, references, language="en").statistics["bleu"])
    drawn = [rng.randrange(40) for _ in range(40)]
    found = float(bleu(rows[drawn].sum(axis=0, keepdims=True))[0])
    of_drawn = BLEU().corpus_score([outputs[i] for i in drawn], [[references[i][0] for i in drawn]])
    assert found == pytest.approx(of_drawn.score / 100, abs=1e-12)
    assert abs(found - float(bleu(rows[drawn]).mean())) > 0.01


@pytest.mark.parametrize(
    ("matches", "totals", "length", "reference"),
    [
        ([0, 0, 0, 0], [5, 4, 3, 2], 5, 5),
        ([3, 0, 0, 0], [5, 4, 3, 2], 5, 9),
        ([2, 1, 0, 0], [2, 1, 0, 0], 2, 2),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0, 7),
        ([9, 7, 5, 3], [9, 8, 7, 6], 9, 4),
    ],
)
def test_bleu_agrees_with_sacrebleu_at_the_edges(
    matches: list[int], totals: list[int], length: int, reference: int
) -> None:
    rows = np.array([[length, reference, *matches, *totals]])
    expected = BLEU.compute_bleu(matches, totals, length, reference, smooth_method="exp").score
    assert bleu(rows)[0] == pytest.approx(expected / 100, abs=1e-12)


def test_signatures_say_how_it_was_scored() -> None:
    found = score_texts(["你好。"], [["你好！", "您好。"]], language="zh").signatures
    assert found["bleu"].startswith("nrefs:2|case:mixed|eff:no|tok:zh|smooth:exp|version:2.")
    assert found["chrf"].startswith("nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("我喜欢猫。", None, "zh"), ("Ich mag 猫.", None, "13a"), ("猫が好きです", None, "char"),
        ("anything", "zh", "zh"), ("anything", "zh-Hant", "zh"), ("我", "de", "13a"),
    ],
)  # fmt: skip
def test_chinese_is_never_split_at_spaces(text: str, language: str | None, expected: str) -> None:
    assert bleu_tokenizer([[text]], language) == expected


def test_impossible_integers_are_seen() -> None:
    for name, good in {
        "bleu": (3, 4, 2, 1, 0, 0, 3, 2, 1, 0),
        "chrf": (4, 5, 3) * 6,
        "loss_per_token": (7, 2),
    }.items():
        metric = CORPUS_METRICS[name]
        assert len(good) == metric.num_columns
        assert metric.is_possible(np.array([good])).all(), name
    assert not CORPUS_METRICS["bleu"].is_possible(np.array([(3, 4, 4, 1, 0, 0, 3, 2, 1, 0)]))
    assert not CORPUS_METRICS["chrf"].is_possible(np.array([(4, 5, 6) * 6]))
    assert not CORPUS_METRICS["loss_per_token"].is_possible(np.array([(7, 0)]))
