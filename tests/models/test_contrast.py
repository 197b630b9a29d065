"""Few rows: the contrastive loss by hand, the head that is fitted, and what it wins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForSequenceClassification

from models.base import Base
from models.config import ScratchConfig
from models.contrast import _write_head, contrastive_loss
from models.encode import encode, load_tokenizer, pad
from models.features import HeadInput, last_layer
from models.predict import Classifier
from models.scratch import write_scratch
from models.task_code import Examples
from tests.models.trainings import LABELS, changed, make_base, rows, train_tiny

FEW = changed(strategy="contrastive", epochs=10, batch_size=16, metric="log_loss")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


class Fixed:
    """Features as a pass through a model leaves them."""

    def __init__(self, vectors: Any) -> None:
        self.of_batch_BF = torch.tensor(vectors)


def test_the_loss_is_the_mean_over_pairs_of_either_kind() -> None:
    vectors = [[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 0.5]]
    labels = [0, 1, 0, 1]
    same, other = [], []
    for i in range(4):
        for j in range(i + 1, 4):
            u, v = np.array(vectors[i]), np.array(vectors[j])
            cosine = float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
            if labels[i] == labels[j]:
                same.append((1 - cosine) ** 2)
            else:
                other.append(cosine**2)
    expected = (np.mean(same) + np.mean(other)) / 2
    loss = contrastive_loss(Fixed(vectors))  # type: ignore[arg-type]
    assert float(loss(None, torch.tensor(labels))) == pytest.approx(expected, abs=1e-6)
    assert float(loss(None, torch.tensor(labels), 8)) == pytest.approx(expected / 2, abs=1e-6)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_written_head_answers_as_the_regression(num_labels: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 5))
    labels = np.arange(60) % num_labels
    features[np.arange(60), labels] += 1
    for has_bias in (True, False):
        fitted = LogisticRegression(fit_intercept=has_bias).fit(features, labels)
        layer = torch.nn.Linear(5, num_labels, bias=has_bias)
        _write_head(layer, fitted)
        found = torch.softmax(layer(torch.tensor(features, dtype=torch.float32)), dim=-1)
        np.testing.assert_allclose(
            found.detach().numpy(), fitted.predict_proba(features), atol=1e-6
        )


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "xlnet", "t5"])
def test_features_times_the_last_layer_are_the_logits(family: str, tmp_path: Path) -> None:
    config = ScratchConfig.model_validate(
        {"architecture": family, "layers": 1, "width": 16, "heads": 2, "positions": 64,
         "vocabulary": 300}
    )  # fmt: skip
    write_scratch(config, rows(tmp_path).texts, frozenset(), tmp_path / "base")
    tokenizer = load_tokenizer(tmp_path / "base", 48)
    model = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "base", num_labels=3, pad_token_id=0
    ).eval()
    features = HeadInput(model)
    ids = encode(tokenizer, ["the thing1 is good", "bad", "the number"]).input_ids
    with torch.no_grad():
        logits_BC = model(**pad(tokenizer, ids)).logits
        again_BC = last_layer(model)(features.of_batch_BF)
    torch.testing.assert_close(again_BC, logits_BC)


def few_rows(folder: Path) -> tuple[Examples, Examples]:
    """Sixteen rows to learn from, two hundred to be asked."""
    return rows(folder, num_rows=16), rows(folder, num_rows=200, first=700)


def test_sixteen_rows_are_enough_where_one_label_has_one_shape(base: Base, tmp_path: Path) -> None:
    few, asked = few_rows(tmp_path)
    train_tiny(base, tmp_path / "model", FEW, training=few, validation=few)
    classifier = Classifier.load(tmp_path / "model")
    best = classifier.probabilities(asked.texts)[0].argmax(axis=1)
    right = np.mean([LABELS[k] == y for k, y in zip(best, asked.labels, strict=True)])
    assert right > 0.9
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".pkl", ".bin", ".joblib"))]


def test_the_head_is_fitted_before_each_validation(base: Base, tmp_path: Path) -> None:
    """Also on the averaged weights, and the kept head is of the kept step."""
    few, _ = few_rows(tmp_path)
    config = changed(FEW, average_decay=0.5, evaluations_per_epoch=1)
    trained = train_tiny(base, tmp_path / "model", config, training=few, validation=few)
    losses = [p.value for p in trained.curve if p.name == "validation_log_loss"]
    assert len(losses) == 10
    assert losses[-1] < 0.8 * losses[0]
    classifier = Classifier.load(tmp_path / "model")
    found = classifier.probabilities(few.texts)[0]
    columns = [LABELS.index(y) for y in few.labels]
    kept = -np.mean(np.log([row[c] for row, c in zip(found, columns, strict=True)]))
    assert kept == pytest.approx(trained.best_value, abs=1e-5)


def test_label_smoothing_has_no_place_in_pairs() -> None:
    with pytest.raises(ValidationError, match=r"label_smoothing=0\.1 has no meaning for strategy"):
        changed(FEW, label_smoothing=0.1)
