"""Texts to ids: cut once and everywhere alike, in bounded time, and in an order that can resume."""

import time
from pathlib import Path

import pytest
import torch

from models.classification import load_pipeline
from models.encode import LengthGroupedSampler, encode, load_tokenizer, pad
from models.errors import UnknownBase
from models.predict import Classifier
from tests.models.trainings import changed, make_base, rows, train_tiny

LENGTHS: list[int] = torch.randint(
    3, 60, (1000,), generator=torch.Generator().manual_seed(0)
).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encode")
    train_tiny(make_base(folder / "base"), folder / "model", changed(epochs=1))
    return folder / "model"


def test_encode_cuts_at_the_length_with_special_tokens_and_counts(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    assert tokenizer.model_max_length == 32
    exact, over = " ".join(["good"] * 30), " ".join(["good"] * 31)
    encoded = encode(tokenizer, ["bad", exact, over, ""])
    assert encoded.num_truncated == 1
    assert list(map(len, encoded.input_ids)) == [3, 32, 32, 2]
    assert encoded.input_ids[1] == encoded.input_ids[2]
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert all((ids[0], ids[-1]) == (first, last) for ids in encoded.input_ids)


def test_encode_keeps_the_order_over_many_batches(model: Path, tmp_path: Path) -> None:
    texts = [f"{'good ' * (i % 40)}bad" for i in range(2100)]
    tokenizer = load_tokenizer(model)
    encoded = encode(tokenizer, texts)
    assert encoded.input_ids == [encode(tokenizer, [text]).input_ids[0] for text in texts]
    assert encoded.num_truncated == sum(i % 40 + 3 > 32 for i in range(2100))


LONG = {
    "5,000 words": " ".join(f"the thing{i} is very good" for i in range(1000)),
    "white space first": " " * 50_000 + "very bad",
    "endless words": " ".join(["g" * 1000] * 20 + ["bad"] * 5 + ["x" * 3000] * 20),
    # One unknown word, of whose first 50 letters, where a first reading ends, each is a token.
    "a word across the cut": "good " * 19 + "z" * 3054 + " g" + "o" * 200 + " bad bad bad",
    "one endless word": "x" * 100_000,
    "not English": "不好 " * 5000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_text_gives_the_same_in_scoring_and_in_the_pipeline(model: Path, name: str) -> None:
    text, classifier = LONG[name], Classifier.load(model)
    whole = classifier.tokenizer(text)["input_ids"]
    cut = classifier.tokenizer(text, truncation=True)["input_ids"]
    encoded = encode(classifier.tokenizer, [text])  # as training encodes
    assert encoded.input_ids == [cut]
    assert encoded.num_truncated == int(len(whole) > 32)
    probabilities, num_truncated = classifier.probabilities(["good", text])
    assert num_truncated == encoded.num_truncated
    best = int(probabilities[1].argmax())
    reply = load_pipeline(model)(text)[0]
    assert reply["label"] == classifier.labels[best]
    assert reply["score"] == pytest.approx(probabilities[1, best], abs=1e-5)


def test_encode_takes_ten_megabytes_in_bounded_time(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    huge = "the thing is very good and not bad, " * 290_000
    assert len(huge) > 10_000_000
    started = time.process_time()
    encoded = encode(tokenizer, [huge] * 2)
    assert time.process_time() - started < 1  # one of them read whole takes several seconds
    assert encoded.num_truncated == 2
    assert encoded.input_ids[0] == encode(tokenizer, [huge[:10_000]]).input_ids[0]


def test_load_tokenizer_refuses_a_folder_without_a_vocabulary(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    with pytest.raises(UnknownBase, match=r"has no tokenizer: none of tokenizer\.json, vocab"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(UnknownBase, match=r"the tokenizer in .* cannot be loaded"):
        load_tokenizer(tmp_path)


def test_pad_fills_on_the_right_and_masks(model: Path) -> None:
    batch = pad(load_tokenizer(model), [[2, 7, 3], [2, 3]])
    assert batch["input_ids"].tolist() == [[2, 7, 3], [2, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_neither_padding_nor_sorting_moves_an_answer(model: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(model)
    texts = [" ".join(["good"] * 29), *rows(tmp_path, num_rows=40, first=700).texts, "bad"]
    together = classifier.probabilities(texts)[0]
    for text, expected in zip(texts, together, strict=True):
        assert classifier.probabilities([text])[0][0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(1000, 8), (1000, 7), (5, 8), (403, 4)])
def test_sampler_gives_every_row_once_an_epoch(num_rows: int, batch_size: int) -> None:
    sampler = LengthGroupedSampler(LENGTHS[:num_rows], batch_size=batch_size, seed=3)
    assert len(sampler) == num_rows
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert sorted(sampler) == list(range(num_rows))


def test_sampler_repeats_an_epoch_whatever_was_drawn_elsewhere() -> None:
    orders: list[list[list[int]]] = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        sampler = LengthGroupedSampler(LENGTHS, batch_size=8, seed=3)
        orders.append([])
        for epoch in (0, 1):
            sampler.set_epoch(epoch)
            orders[-1].append(list(sampler))
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert list(LengthGroupedSampler(LENGTHS, batch_size=8, seed=9)) != orders[0][0]


def spread(batches: list[list[int]]) -> float:
    """Mean of longest - shortest within a batch, tokens."""
    gaps = [max(LENGTHS[i] for i in b) - min(LENGTHS[i] for i in b) for b in batches]
    return sum(gaps) / len(gaps)


def test_sampler_puts_rows_of_similar_length_together_and_only_the_last_batch_is_short() -> None:
    order = list(LengthGroupedSampler(LENGTHS[:999], batch_size=8, seed=3))
    batches = [order[k : k + 8] for k in range(0, 999, 8)]
    assert spread(batches[:-1]) < 3
    plain = torch.randperm(999, generator=torch.Generator().manual_seed(3)).tolist()
    assert spread([plain[k : k + 8] for k in range(0, 992, 8)]) > 30
    tops = [max(LENGTHS[i] for i in batch) for batch in batches]
    assert tops != sorted(tops, reverse=True)  # lengths are mixed between batches
    assert len(batches[-1]) == 7
