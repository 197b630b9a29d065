"""Language models: every token asked for once, by hand and in batches, and what they must beat."""

import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from data_checks.sample_phrases import PhraseOptions, generate
from models.base import Base, resolve_base
from models.config import Architecture, BaseConfig, ScratchConfig, TrainConfig
from models.errors import UnknownBase
from models.evidence import parity_problems
from models.language_model import IGNORED, LanguageModel
from models.language_modeling import Code, load_language_model
from models.language_modeling_lesson import LanguageModelingLesson
from models.ngrams import Ngrams
from models.scoring import ScoringRequest, score
from models.scratch import write_scratch
from models.task_code import Examples
from records.scores import TestItems

TEXTS = [row["source"] for row in generate(PhraseOptions(num=40))]


def make_base(folder: Path, architecture: Architecture) -> Base:
    config = ScratchConfig(
        architecture=architecture, layers=1, width=32, heads=2, positions=64, vocabulary=700
    )
    write_scratch(config, TEXTS, frozenset(), folder)
    return resolve_base(BaseConfig(model=str(folder)))


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("causal") / "base", "gpt2")


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("masked") / "base", "bert")


def lesson_of(base: Base, texts: list[str] = TEXTS, max_length: int = 16) -> LanguageModelingLesson:
    config = TrainConfig(max_length=max_length, metric="loss_per_token", dropout=0.0)
    found = Examples(texts, [])
    return LanguageModelingLesson(
        base=base, config=config, labels=(), training=found, validation=found
    )


def test_the_loss_of_a_text_is_minus_the_sum_of_log_p_by_hand(causal: Base) -> None:
    model = load_language_model(causal.path, 64)
    ids = [model.start_id, *model.ids_of(TEXTS[0]), model.tokenizer.eos_token_id]
    expected = 0.0
    for t in range(1, len(ids)):
        with torch.no_grad():
            logits_V = model.model(input_ids=torch.tensor([ids[:t]])).logits[0, -1]
        expected -= float(torch.log_softmax(logits_V.double(), dim=0)[ids[t]])
    total, count = model.losses([TEXTS[0]])[0]
    assert count == len(ids) - 1
    assert total == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_company_in_the_batch_changes_no_loss(kind: str, causal: Base, masked: Base) -> None:
    model = load_language_model((causal if kind == "causal" else masked).path, 64)
    together = model(TEXTS)
    alone = [model([text])[0] for text in TEXTS]
    assert together == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("max_length", [5, 7, 64])
def test_windows_ask_for_every_token_once(causal: Base, max_length: int) -> None:
    model = load_language_model(causal.path, max_length)
    ids = [*model.ids_of(TEXTS[1]), model.tokenizer.eos_token_id]
    windows = list(model.windows(0, TEXTS[1]))
    assert [label for w in windows for label in w.labels] == ids
    assert all(len(w.ids) == len(w.labels) <= max_length for w in windows)


def test_blanks_are_the_texts_own_and_about_a_seventh(masked: Base) -> None:
    model = load_language_model(masked.path, 16)
    first, again = (list(model.windows(0, TEXTS[2])) for _ in range(2))
    assert first == again
    windows = [w for i, text in enumerate(TEXTS) for w in model.windows(i, text)]
    asked = sum(label != IGNORED for w in windows for label in w.labels)
    total = sum(len(model.ids_of(text)) for text in TEXTS)
    assert 0.1 < asked / total < 0.25
    assert {w.text for w in windows} == set(range(len(TEXTS)))
    mask = model.tokenizer.mask_token_id
    for w in windows:
        assert all((i == mask) == (y != IGNORED) for i, y in zip(w.ids, w.labels, strict=True))


def test_blocks_of_a_causal_lesson_ask_for_the_whole_stream_once(causal: Base) -> None:
    lesson = lesson_of(causal)
    asked = [y for row in lesson.rows for y in row["ids"][1:]]
    model = LanguageModel(lesson.model, lesson.tokenizer)
    stream = [
        i for text in TEXTS
        for i in (model.start_id, *model.ids_of(text), lesson.tokenizer.eos_token_id)
    ]  # fmt: skip
    assert asked == stream[1:]
    batch = lesson.collate(lesson.rows[:3])
    assert batch["labels"][0, :-1].tolist() == batch["input_ids"][0, 1:].tolist()


def test_a_masked_lesson_draws_its_blanks_by_step_and_row_whatever_the_batch(masked: Base) -> None:
    """So a step that memory splits into smaller batches asks for the same words."""
    lesson = lesson_of(masked)
    rows = [{**row, "step": 3} for row in lesson.rows[:8]]
    whole = lesson.collate(rows)["labels"]
    alone = [lesson.collate([row])["labels"][0] for row in rows]
    for k, labels in enumerate(alone):
        assert torch.equal(whole[k, : len(labels)], labels)
    later = lesson.collate([{**row, "step": 4} for row in rows])["labels"]
    assert not any(torch.equal(*pair) for pair in zip(whole, later, strict=True))
    share = (whole != IGNORED).sum() / lesson.collate(rows)["attention_mask"].sum()
    assert 0.05 < float(share) < 0.35


def test_a_model_of_two_stacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownBase, match="is a t5, an encoder-decoder; task language_modeling"):
        lesson_of(make_base(tmp_path / "t5", "t5"))


# -- n-grams


def test_trigram_weights_favour_what_tells_most_and_probabilities_sum_to_one() -> None:
    documents = [[0, 2, 3, 4, 1], [0, 3, 2, 4, 1], [0, 2, 3, 4, 1]] * 20
    ngrams = Ngrams(documents, documents[:3], size=6, order=3)
    assert sum(ngrams.weights) == pytest.approx(1)
    for context in ([0], [0, 2], [0, 2, 3], [5, 5]):
        total = sum(math.exp(-ngrams.losses([*context, token])[-1]) for token in range(6))
        assert total <= 1 + 1e-9
    seen = [0, 2]
    assert sum(math.exp(-ngrams.losses([*seen, t])[-1]) for t in range(6)) == pytest.approx(1)
    unigrams = Ngrams(documents, documents[:3], size=6, order=1)
    mean = [sum(n.losses(documents[0])) / 4 for n in (ngrams, unigrams)]
    assert mean[0] < 0.7 * mean[1]


def test_unigrams_are_relative_frequencies() -> None:
    documents = [[0, 2, 2, 3, 1]] * 500
    ngrams = Ngrams(documents, documents, size=5, order=1)
    assert ngrams.losses([0, 2])[0] == pytest.approx(-math.log(0.5), abs=0.01)


# -- scoring


def request_of(folder: Path, base: Base) -> ScoringRequest:
    ids = tuple(f"i{k}" for k in range(len(TEXTS)))
    pd.DataFrame({"item_id": ids, "text": TEXTS}).to_parquet(folder / "t.parquet", index=False)
    return ScoringRequest(
        role="challenger", model_path=str(base.path), model_digest="d", task="language_modeling",
        test_path=str(folder / "t.parquet"), max_length=32,
        items=TestItems(item_ids=ids, groups=ids, labels=("",) * len(ids)),
    )  # fmt: skip


def test_a_causal_card_has_tokens_and_bytes_and_a_masked_one_no_bytes(
    causal: Base, masked: Base, tmp_path: Path
) -> None:
    card = score(request_of(tmp_path, causal))
    num_bytes = sum(len(text.encode()) for text in TEXTS)
    assert sum(row[1] for row in card.statistics["loss_per_byte"]) == num_bytes
    per_token, per_byte = card.metrics["loss_per_token"], card.metrics["loss_per_byte"]
    num_tokens = sum(row[1] for row in card.statistics["loss_per_token"])
    assert per_token * num_tokens == pytest.approx(per_byte * num_bytes)
    assert per_token == pytest.approx(math.log(700), rel=0.2), "an untrained model knows nothing"
    assert card.predicted == ()
    assert set(score(request_of(tmp_path, masked)).statistics) == {"loss_per_token"}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_consumer_that_answers_nan_is_no_parity_wherever_it_does(
    position: int, causal: Base, tmp_path: Path
) -> None:
    request = request_of(tmp_path, causal)
    card, consumer = score(request), Code().consumer(request)
    replies = [consumer.answer(text) for text in TEXTS[:3]]
    assert not parity_problems(consumer.parity(card, TEXTS, [0, 1, 2], replies))
    replies[position] = math.nan
    assert parity_problems(consumer.parity(card, TEXTS, [0, 1, 2], replies))


def test_baselines_are_asked_for_the_models_own_tokens(
    causal: Base, masked: Base, tmp_path: Path
) -> None:
    found = Examples(TEXTS, [])
    for base, roles in ((causal, {"unigram", "trigram"}), (masked, {"unigram"})):
        request = request_of(tmp_path, base)
        own = score(request)
        cards = [card for card, _ in Code().score_baselines(request, found, found)]
        assert {card.role for card in cards} == {f"baseline:{role}" for role in roles}
        for card in cards:
            counts = [row[1] for row in card.statistics["loss_per_token"]]
            assert counts == [row[1] for row in own.statistics["loss_per_token"]]
            assert card.metrics["loss_per_token"] < own.metrics["loss_per_token"]
