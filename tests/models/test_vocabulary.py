"""Tokenizers trained on data: no text is lost, whatever it holds, and the same in every process."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from data_checks.sample_reviews import SampleOptions, generate
from models.config import ScratchConfig
from models.vocabulary import SPECIAL, train_tokenizer

ROOT = Path(__file__).parents[2]
KINDS = ("bpe", "unigram", "wordpiece")
ROWS = list(generate(SampleOptions(num=3000)))
TEXTS = [row["text"] for i, row in enumerate(ROWS) if row["language"] == "zh" or i < 300]
HARD = (
    "the lamp is good",
    "这个产品很好。",
    "Ünïcödé \u200b\u0000\x7f 🙂👩‍👩‍👧 ￿",
    "  leading\t\tand trailing \r\n ",
    "##not a piece‿nor this ▁",
    "</s><pad>[CLS]",
    "x" * 5000,
    "",
)


def config(kind: str, architecture: str = "bert", vocabulary: int = 700) -> ScratchConfig:
    return ScratchConfig.model_validate(
        {"architecture": architecture, "tokenizer": kind, "vocabulary": vocabulary}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_lost(kind: str) -> None:
    tokenizer = train_tokenizer(config(kind), TEXTS)
    tokenizer.encode_special_tokens = True  # as load_tokenizer sets it for training
    for text in HARD:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(range(len(SPECIAL)))


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_words_become_one_token_also_in_chinese(kind: str) -> None:
    tokenizer = train_tokenizer(config(kind, vocabulary=2000), TEXTS)
    for text in ("the screen is good", "质量很好"):
        assert len(tokenizer.encode(text).ids) < 0.85 * len(text.encode())


@pytest.mark.parametrize(
    ("architecture", "first", "last"),
    [
        ("bert", "<s>", "</s>"),
        ("gpt2", "<s>", None),
        ("llama", "<s>", None),
        ("xlnet", None, "<s>"),
        ("t5", None, "</s>"),
        ("marian", None, "</s>"),
    ],
)
def test_special_tokens_stand_where_the_architecture_looks(
    architecture: str, first: str | None, last: str | None
) -> None:
    tokens = train_tokenizer(config("bpe", architecture), TEXTS).encode("g").tokens
    assert tokens[0] == (first or "g")
    assert tokens[-1] == (last or "g")


def test_a_vocabulary_is_never_larger_than_asked_for() -> None:
    for kind, size in (("bpe", 300), ("unigram", 300), ("wordpiece", 600)):
        assert train_tokenizer(config(kind, vocabulary=size), TEXTS).get_vocab_size() <= size


def test_every_process_learns_the_same_tokenizer() -> None:
    """The library's own trainers break ties and number letters by an order of the process."""
    code = (
        "import hashlib; from tests.models.test_vocabulary import *\n"
        "for kind in KINDS:\n"
        "    found = train_tokenizer(config(kind), TEXTS).to_str().encode()\n"
        "    print(hashlib.sha256(found).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    here = [train_tokenizer(config(kind), TEXTS).to_str().encode() for kind in KINDS]
    assert done.stdout.split() == [hashlib.sha256(text).hexdigest() for text in here]
