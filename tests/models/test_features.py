"""What a model makes of a text: the hidden states and vectors that it really uses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from models.encode import encode, load_tokenizer, pad
from models.features import text_features
from models.predict import Classifier
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
    np.testing.assert_allclose(found.mean_W, expected.numpy().mean(axis=0), atol=1e-5)
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
    np.testing.assert_allclose(found.mean_W, expected.mean(axis=0), atol=1e-5)


def test_the_heads_vector_gives_the_answer(model: Path) -> None:
    classifier = Classifier.load(model)
    found = text_features(classifier, TEXT)
    with torch.no_grad():
        logits = classifier.model.classifier(torch.tensor(found.head_F))
    expected = classifier.probabilities([TEXT])[0][0]
    np.testing.assert_allclose(torch.softmax(logits, dim=-1).numpy(), expected, atol=1e-5)


def test_looking_leaves_nothing_behind(model: Path) -> None:
    classifier = Classifier.load(model)
    text_features(classifier, TEXT)
    assert not classifier.model._forward_pre_hooks
    assert not classifier.model.classifier._forward_pre_hooks
