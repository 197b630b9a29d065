"""L = -sum log P by hand in float64, for next words, masked words and labels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from models.config import TrainConfig
from models.loss import class_weights, classification_loss
from models.predict import log_probabilities
from tests.theory.families import make_family

IDS = [2, 40, 41, 60, 33, 52]
LOGITS = [[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0], [1.0, 1.0, -2.0]]
LABELS = [0, 2, 1, 1]


def log_softmax(scores: Any) -> Any:
    """log P from scores; numpy float64."""
    top = scores.max(axis=-1, keepdims=True)
    return scores - top - np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))


def logits_of(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def test_the_causal_loss_is_minus_the_sum_of_log_p_over_next_tokens(tmp_path: Path) -> None:
    """Each P is taken from the beginning alone, so that no position can have seen its target."""
    model, _ = make_family("gpt2", tmp_path, AutoModelForCausalLM)
    total = 0.0
    for t in range(1, len(IDS)):
        log_p_V = log_softmax(logits_of(model, IDS[:t])[-1])
        total -= float(log_p_V[IDS[t]])
    ids = torch.tensor([IDS])
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert loss == pytest.approx(total / (len(IDS) - 1), abs=1e-6)


def test_positions_labelled_minus_100_count_for_nothing(tmp_path: Path) -> None:
    model, _ = make_family("gpt2", tmp_path, AutoModelForCausalLM)
    labels = [-100, -100, -100, *IDS[3:]]
    log_p_TV = log_softmax(logits_of(model, IDS))
    total = -sum(float(log_p_TV[t - 1, IDS[t]]) for t in range(3, len(IDS)))
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([IDS]), labels=torch.tensor([labels])).loss
    assert float(loss) == pytest.approx(total / 3, abs=1e-6)


def test_the_masked_loss_sums_over_masked_positions_alone(tmp_path: Path) -> None:
    model, tokenizer = make_family("bert", tmp_path, AutoModelForMaskedLM)
    masked = [tokenizer.mask_token_id if t in (2, 4) else i for t, i in enumerate(IDS)]
    labels = [i if t in (2, 4) else -100 for t, i in enumerate(IDS)]
    log_p_TV = log_softmax(logits_of(model, masked))
    total = -float(log_p_TV[2, IDS[2]] + log_p_TV[4, IDS[4]])
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([masked]), labels=torch.tensor([labels])).loss
    assert float(loss) == pytest.approx(total / 2, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.0)])
def test_the_classification_loss_with_smoothing_and_weights(
    smoothing: float, weights: tuple[float, ...]
) -> None:
    log_p_BC = log_softmax(np.array(LOGITS))
    expected = 0.0
    for log_p_C, y in zip(log_p_BC, LABELS, strict=True):
        target_C = [smoothing / 3 + (1 - smoothing) * (c == y) for c in range(3)]
        cross = -sum(q * float(log_p) for q, log_p in zip(target_C, log_p_C, strict=True))
        expected += weights[y] * cross / len(LABELS)
    loss = classification_loss(smoothing, weights)
    outputs = {"logits": torch.tensor(LOGITS)}
    assert float(loss(outputs, torch.tensor(LABELS))) == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_a_step_is_the_sum_of_its_batches() -> None:
    loss = classification_loss(0.1, (0.5, 2.0, 1.0))
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    whole = float(loss({"logits": logits}, labels))
    parts = [float(loss({"logits": logits[p]}, labels[p], 4)) for p in (slice(3), slice(3, 4))]
    assert sum(parts) == pytest.approx(whole, abs=1e-6)


def test_balanced_weights_give_every_label_the_same_mass() -> None:
    labels = ["a"] * 6 + ["b"] * 3 + ["c"]
    weights = class_weights(TrainConfig(class_weights="balanced"), labels, ("a", "b", "c"))
    assert weights == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert 6 * weights[0] == pytest.approx(3 * weights[1]) == pytest.approx(weights[2])
    assert class_weights(TrainConfig(), labels, ("a", "b", "c")) == [1, 1, 1]


def test_the_scored_log_loss_is_minus_log_p_of_the_label(tmp_path: Path) -> None:
    """What the gate compares is the same formula on the saved artifact's probabilities."""
    model, tokenizer = make_family("bert", tmp_path)

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, **batch: Any) -> Any:
            class Out:
                logits = self.body(**batch).last_hidden_state[:, 0, :3]

            return Out

    found = log_probabilities(Head(), tokenizer, [IDS])[0]
    expected = log_softmax(model(input_ids=torch.tensor([IDS]))[0][0, 0, :3].detach().numpy())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert math.fsum(np.exp(found)) == pytest.approx(1)
