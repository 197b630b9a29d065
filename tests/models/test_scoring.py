"""Scores of a saved artifact: the same in a fresh process, by name, and an error where it is broken."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import UnknownBase
from models.label_scores import scorecard
from models.metrics import UNKNOWN_LABEL_LOSS
from models.predict import Classifier
from models.scoring import ScoringRequest, read_texts, score
from models.task_code import Examples
from records.scores import Scorecard
from tests.models.trainings import make_base, make_items, make_request, rows, train_tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    train_tiny(make_base(folder / "base"), folder / "model")
    return folder / "model"


@pytest.fixture
def data(tmp_path: Path) -> Examples:
    return rows(tmp_path, num_rows=60, first=900, noise=9)


@pytest.fixture
def request_of(
    model: Path, data: Examples, tmp_path: Path
) -> Callable[[Callable[[Path], object]], ScoringRequest]:
    """Makes the request to score a copy of the model that was tampered with."""

    def make(tamper: Callable[[Path], object]) -> ScoringRequest:
        copy = tmp_path / "copy"
        shutil.copytree(model, copy)
        tamper(copy)
        return make_request(copy, data, tmp_path / "test.parquet")

    return make


Make = Callable[[Callable[[Path], object]], ScoringRequest]


def test_score_in_a_fresh_process_equals_the_classifier_here(
    model: Path, data: Examples, tmp_path: Path
) -> None:
    request = make_request(model, data, tmp_path / "test.parquet")
    (tmp_path / "request.json").write_bytes(request.to_json())
    command = [sys.executable, "-m", "models.scoring"]
    paths = [str(tmp_path / "request.json"), str(tmp_path / "card.json")]
    subprocess.run([*command, *paths], check=True, cwd=ROOT, timeout=200)
    card = Scorecard.from_json((tmp_path / "card.json").read_bytes())
    classifier = Classifier.load(model)
    probabilities, num_truncated = classifier.probabilities(data.texts)
    best = probabilities.argmax(axis=1)
    assert card.item_ids == request.items.item_ids
    assert list(card.predicted) == [classifier.labels[k] for k in best]
    assert card.confidence == pytest.approx(probabilities.max(axis=1), abs=1e-6)
    truth = [classifier.labels.index(y) for y in data.labels]
    assert card.log_loss == pytest.approx(
        [-math.log(probabilities[i, k]) for i, k in enumerate(truth)], abs=1e-5
    )
    assert card.num_truncated == num_truncated == 0
    assert card.metrics["accuracy"] == pytest.approx(53 / 60)  # every ninth label is wrong
    assert card.fingerprint == score(request).fingerprint


def test_score_matches_labels_by_name(model: Path, request_of: Make) -> None:
    """The same weights under exchanged names answer the other label, whatever the index."""

    def exchange(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config["id2label"] = {"0": "positive", "1": "negative"}
        config["label2id"] = {"positive": 0, "negative": 1}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")

    request = request_of(exchange)
    other = score(request)
    card = score(request.model_copy(update={"model_path": str(model)}))
    assert all(a != b for a, b in zip(card.predicted, other.predicted, strict=True))
    assert other.metrics["accuracy"] == pytest.approx(1 - card.metrics["accuracy"])
    assert other.confidence == card.confidence
    assert other.model_labels == ("positive", "negative")


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x05")


def pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{", "utf-8")


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    "tamper",
    [cut_weights, cut_header, pickle_only, no_config, broken_config, no_tokenizer, no_folder],
)
def test_score_of_a_model_that_cannot_be_loaded_is_an_error_and_no_number(
    request_of: Make, tamper: Callable[[Path], object]
) -> None:
    request = request_of(tamper)
    card = score(request)
    assert card.error.startswith(
        ("the model in 'copy'", "the tokenizer in 'copy'", "'copy' has no")
    )
    assert (card.predicted, card.log_loss, card.metrics) == ((), (), {})
    assert (card.role, card.model_digest) == (request.role, request.model_digest)
    with pytest.raises(UnknownBase, match="copy"):
        Classifier.load(Path(request.model_path))


def test_score_of_weights_that_are_nan_is_nan_for_the_gate_to_refuse(request_of: Make) -> None:
    def spoil(folder: Path) -> None:
        loaded = load_file(folder / "model.safetensors")
        loaded["classifier.weight"][:] = math.nan
        save_file(loaded, folder / "model.safetensors", metadata={"format": "pt"})

    card = score(request_of(spoil))
    assert math.isnan(card.metrics["log_loss"])
    assert math.isnan(card.metrics["ece"])
    assert all(map(math.isnan, card.log_loss))
    again = Scorecard.from_json(card.to_json())
    assert math.isnan(again.metrics["log_loss"])


def test_score_fails_on_an_item_that_the_file_lacks(model: Path, tmp_path: Path) -> None:
    request = make_request(model, rows(tmp_path, num_rows=4), tmp_path / "test.parquet")
    items = make_items(rows(tmp_path, num_rows=5))
    with pytest.raises(KeyError, match="item4"):
        score(request.model_copy(update={"items": items}))


def test_read_texts_follows_the_items_and_not_the_file(model: Path, tmp_path: Path) -> None:
    data = rows(tmp_path, num_rows=30)
    request = make_request(model, data, tmp_path / "test.parquet")
    assert read_texts(tmp_path / "test.parquet", request.items) == data.texts


def test_scorecard_of_a_worked_example() -> None:
    data = Examples(["t0", "t1", "t2"], ["cat", "dog", "eel"])
    card = scorecard(
        role="champion",
        model_digest="d",
        items=make_items(data),
        labels=("dog", "cat"),
        probabilities=np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]),
        num_truncated=2,
    )
    assert card.predicted == ("cat", "dog", "dog")
    assert card.confidence == (0.75, 1.0, 0.5)
    assert card.log_loss == pytest.approx((-math.log(0.75), 0.0, UNKNOWN_LABEL_LOSS))
    assert card.metrics["accuracy"] == pytest.approx(2 / 3)
    assert card.num_truncated == 2


def test_scorecard_bounds_the_cost_of_certainty_in_error() -> None:
    card = scorecard(
        role="champion",
        model_digest="d",
        items=make_items(Examples(["t"], ["cat"])),
        labels=("dog", "cat"),
        probabilities=np.array([[1.0, 0.0]]),
    )
    assert card.log_loss == pytest.approx((-math.log(1e-12),))


def test_score_counts_what_it_cuts(model: Path, tmp_path: Path) -> None:
    data = Examples(
        ["good", "bad " * 40, "good " * 5000], ["positive", "negative"] * 1 + ["positive"]
    )
    card = score(make_request(model, data, tmp_path / "test.parquet"))
    assert card.num_truncated == 2
    assert card.metrics["accuracy"] == 1.0
