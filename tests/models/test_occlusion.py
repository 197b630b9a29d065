"""Occlusion: a word's part is what the same answer costs more without it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from models.errors import ModelError
from models.occlusion import load_answerer, occlude
from tests.models.test_every_task import train_small
from tests.tiny_texts import write_translator_base


class Prices:
    """Answers at a known cost: a nat for each letter that the last user's words lack."""

    def answer(self, text: str) -> str:
        return f"{len(text)}"

    def costs(self, texts: Sequence[str], answer: str) -> list[float]:
        return [float(sum(letter not in text for letter in "lamp红灯")) for text in texts]


def test_each_word_is_left_out_once_also_where_no_space_parts_them() -> None:
    found = occlude(Prices(), "The lamp, 红灯!")
    parts = {found.asked[p.start : p.end]: p.value for p in found.pieces}
    assert parts == {"The": 0.0, "lamp": 4.0, "红": 1.0, "灯": 1.0}
    assert (found.nats, found.answer) == (0.0, "13")
    assert occlude(Prices(), "?!").pieces == ()


def test_of_a_dialogue_only_the_last_users_words_are_left_out() -> None:
    turns = [
        {"content": "a lamp", "role": "user"},
        {"content": "yes", "role": "assistant"},
        {"content": "a lamp 红灯", "role": "user"},
    ]
    found = occlude(Prices(), json.dumps(turns, separators=(",", ":"), ensure_ascii=False))
    assert found.asked == "a lamp 红灯"
    parts = {found.asked[p.start : p.end]: p.value for p in found.pieces}
    assert parts == {"a": 0.0, "lamp": 0.0, "红": 1.0, "灯": 1.0}, "the first turn has a lamp, too"


@pytest.mark.parametrize("family", ["t5", "marian"])
def test_a_translators_costs_are_its_own_log_probabilities(family: str, tmp_path: Path) -> None:
    write_translator_base(tmp_path / "m", family=family, layers=1, width=32)  # type: ignore[arg-type]
    model = load_answerer("translation", tmp_path / "m")
    texts = ["The old woman buys a hat.", "A lamp."]
    translator = model._translator  # type: ignore[attr-defined]
    target = translator.tokenizer(text_target="Ein Hut.")["input_ids"]
    for text, cost in zip(texts, model.costs(texts, "Ein Hut."), strict=True):
        source = torch.tensor([translator.tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            logits = translator.model(input_ids=source, labels=torch.tensor([target])).logits[0]
        log_p = logits.double().log_softmax(dim=-1)
        by_hand = -sum(float(log_p[i, token]) for i, token in enumerate(target))
        assert cost == pytest.approx(by_hand, rel=1e-4)
    translator.settings = {"max_new_tokens": 4}
    found = occlude(model, "A lamp.")
    assert [found.asked[p.start : p.end] for p in found.pieces] == ["A", "lamp"]


def test_a_chatbot_has_costs_and_a_language_model_has_no_answer(tmp_path: Path) -> None:
    train_small("chat", "gpt2", tmp_path, "model")
    model = load_answerer("chat", tmp_path / "model")
    found = occlude(model, "The lamp is red.")
    assert found.nats == pytest.approx(model.costs(["The lamp is red."], found.answer)[0])
    without = model.costs(["The  is red."], found.answer)[0]
    assert found.pieces[1].value == pytest.approx(without - found.nats)
    with pytest.raises(ModelError, match="language_modeling has no answer to explain; only trans"):
        load_answerer("language_modeling", tmp_path)


def test_a_given_answer_is_not_written_again_and_only_the_first_words_are_left_out() -> None:
    class Mute(Prices):
        def answer(self, text: str) -> str:
            raise AssertionError("the report pays for no writing")

    found = occlude(Mute(), "The lamp, 红灯!", "No.", most=2)
    assert [found.asked[p.start : p.end] for p in found.pieces] == ["The", "lamp"]
    assert found.answer == "No."
