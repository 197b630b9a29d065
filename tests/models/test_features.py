"""What a model makes of a text: the hidden states and vectors that it really uses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from models.encode import encode, load_tokenizer, pad
from models.predict import Classifier
from models.text_features import body_features, text_features
from records.task import Task
from tests.models.test_every_task import train_small
from tests.models.trainings import changed, make_base, train_tiny

TEXT = "the thing7 number 7 is lovely"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    train_tiny(make_base(folder / "base"), folder / "model", changed(epochs=1))
    return folder / "model"


def test_hidden_states_are_those_of_the_bare_body(model: Path) -> None:
    found = text_features(Classifier.load(model), TEXT)
    tokenizer = load_tokenizer(model)
    ids = encode(tokenizer, [TEXT]).input_ids
    with torch.no_grad():
        expected = AutoModel.from_pretrained(model)(**pad(tokenizer, ids)).last_hidden_state[0]
    np.testing.assert_allclose(found.hidden_TW, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.pooled["mean"], expected.numpy().mean(axis=0), atol=1e-5)
    assert found.tokens[0] == "[CLS]"
    assert len(found.tokens) == len(ids[0])


@pytest.mark.parametrize("family", ["gpt2", "llama", "xlnet", "t5"])
def test_hidden_states_of_every_family_are_those_of_its_bare_body(
    family: str, tmp_path: Path
) -> None:
    """Of T5 it is the decoder's, which the head answers from: it reads the text once more."""
    train_small("classification", family, tmp_path, "model", strategy="head")
    found = text_features(Classifier.load(tmp_path / "model"), "The old chair is blue.")
    tokenizer = load_tokenizer(tmp_path / "model")
    ids = encode(tokenizer, ["The old chair is blue."]).input_ids
    body = AutoModel.from_pretrained(tmp_path / "model").eval()
    batch = pad(tokenizer, ids)
    if family == "t5":
        batch["decoder_input_ids"] = body._shift_right(batch["input_ids"])
    with torch.no_grad():
        expected = body(**batch).last_hidden_state[0].numpy()
    assert found.hidden_TW.shape == (len(ids[0]), 16)
    np.testing.assert_allclose(found.hidden_TW, expected, atol=1e-5)
    np.testing.assert_allclose(found.pooled["mean"], expected.mean(axis=0), atol=1e-5)


def test_the_heads_vector_gives_the_answer(model: Path) -> None:
    classifier = Classifier.load(model)
    found = text_features(classifier, TEXT)
    with torch.no_grad():
        logits = classifier.model.classifier(torch.tensor(found.pooled["head"]))
    expected = classifier.probabilities([TEXT])[0][0]
    np.testing.assert_allclose(torch.softmax(logits, dim=-1).numpy(), expected, atol=1e-5)


def test_looking_leaves_nothing_behind(model: Path) -> None:
    classifier = Classifier.load(model)
    text_features(classifier, TEXT)
    assert not classifier.model._forward_pre_hooks
    assert not classifier.model.classifier._forward_pre_hooks


@pytest.mark.parametrize(
    ("task", "family", "whole"),
    [
        ("language_modeling", "bert", "first"), ("language_modeling", "gpt2", "last"),
        ("chat", "llama", "last"), ("translation", "marian", ""), ("translation", "t5", ""),
    ],
)  # fmt: skip
def test_models_without_labels_have_features_too(
    task: Task, family: str, whole: str, tmp_path: Path
) -> None:
    """The body that AutoModel loads, and of two halves the one that reads."""
    train_small(task, family, tmp_path, "model")
    found = body_features(tmp_path / "model", "The old chair is blue.")
    tokenizer = load_tokenizer(tmp_path / "model")
    batch = pad(tokenizer, encode(tokenizer, ["The old chair is blue."]).input_ids)
    body = AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        expected = (body.encoder if not whole else body)(**batch).last_hidden_state[0].numpy()
    np.testing.assert_allclose(found.hidden_TW, expected, atol=1e-5)
    assert len(found.tokens) == len(expected)
    np.testing.assert_allclose(found.pooled["mean"], expected.mean(axis=0), atol=1e-5)
    assert set(found.pooled) == {"mean", whole} - {""}
    if whole:
        place = 0 if whole == "first" else -1
        np.testing.assert_allclose(found.pooled[whole], expected[place], atol=1e-5)


def test_a_text_without_tokens_has_no_features(tmp_path: Path) -> None:
    """As an empty one of GPT-2, whose tokenizer puts nothing around it."""
    train_small("chat", "gpt2", tmp_path, "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    with pytest.raises(ValueError, match="without tokens has no features; give one with words"):
        body_features(tmp_path / "model", "")
