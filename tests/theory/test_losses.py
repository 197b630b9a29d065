"""L = -sum log P by hand in float64, for next words, masked words and labels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.base import resolve_base
from models.config import BaseConfig, TrainConfig
from models.language_modeling_lesson import LanguageModelingLesson
from models.loss import IGNORED, class_weights, classification_loss, token_loss
from models.predict import log_probabilities
from models.task_code import Examples
from tests.theory.families import make_family

TEXTS = ["the lamp is bright", "it broke, and I cannot say why"]
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


def lesson_of(architecture: str, folder: Path, smoothing: float) -> LanguageModelingLesson:
    """Documents in blocks, by a model in float64."""
    make_family(architecture, folder)
    examples = Examples(TEXTS, [""] * len(TEXTS))
    config = TrainConfig(max_length=12, metric="loss_per_token", label_smoothing=smoothing)
    lesson = LanguageModelingLesson(
        base=resolve_base(BaseConfig(model=str(folder))), config=config, labels=(),
        training=examples, validation=examples,
    )  # fmt: skip
    lesson.model.double().eval()
    return lesson


def trained_loss(lesson: LanguageModelingLesson, batch: dict[str, Any]) -> float:
    """The loss of a step, as the Trainer asks for it."""
    labels = batch.pop("labels")
    with torch.no_grad():
        return float(lesson.loss(lesson.model(**batch), labels))


def cost(log_p_V: Any, target: int, smoothing: float) -> float:
    """-sum q log P, with a share of the mass over all V words."""
    size = len(log_p_V)
    q_V = [(1 - smoothing) * (v == target) + smoothing / size for v in range(size)]
    return -math.fsum(q * float(log_p) for q, log_p in zip(q_V, log_p_V, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_causal_loss_is_minus_the_sum_of_log_p_over_next_tokens(
    tmp_path: Path, smoothing: float
) -> None:
    """Each P is taken from the beginning of its block alone: no position can have seen its target."""
    lesson = lesson_of("gpt2", tmp_path, smoothing)
    stream: list[int] = []
    for text in TEXTS:
        ids = lesson.tokenizer(text, add_special_tokens=False)["input_ids"]
        stream += [lesson.tokenizer.bos_token_id, *ids, lesson.tokenizer.eos_token_id]
    costs = []
    for t in range(1, len(stream)):
        start = (t - 1) // 12 * 12
        log_p_V = log_softmax(logits_of(lesson.model, stream[start:t])[-1])
        costs.append(cost(log_p_V, stream[t], smoothing))
    assert len(lesson.rows) > 1
    assert len(stream) % 12 > 1, "the last block is padded"
    loss = trained_loss(lesson, lesson.collate(lesson.rows))
    assert loss == pytest.approx(math.fsum(costs) / len(costs), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_masked_loss_sums_over_masked_positions_alone(tmp_path: Path, smoothing: float) -> None:
    lesson = lesson_of("bert", tmp_path, smoothing)
    batch = lesson.collate(lesson.rows)
    costs = []
    for row, seen, labels in zip(lesson.rows, batch["input_ids"], batch["labels"], strict=True):
        ids = row["ids"]
        log_p_TV = log_softmax(logits_of(lesson.model, seen[: len(ids)].tolist()))
        asked = [t for t, label in enumerate(labels.tolist()) if label != IGNORED]
        assert [int(labels[t]) for t in asked] == [ids[t] for t in asked]
        costs += [cost(log_p_TV[t], ids[t], smoothing) for t in asked]
    assert 0 < len(costs) < sum(len(row["ids"]) for row in lesson.rows)
    assert trained_loss(lesson, batch) == pytest.approx(math.fsum(costs) / len(costs), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_positions_labelled_minus_100_count_for_nothing(smoothing: float) -> None:
    """As a prompt before an answer, and padding after it; over the positions of the whole step."""
    logits_TV = np.random.default_rng(1).normal(size=(6, 7))
    targets = [IGNORED, 2, 5, IGNORED, 6, IGNORED]
    log_p_TV = log_softmax(logits_TV)
    costs = [cost(log_p_TV[t], y, smoothing) for t, y in enumerate(targets) if y != IGNORED]
    outputs, labels = {"logits": torch.tensor(logits_TV)[None]}, torch.tensor([targets])
    loss = token_loss(smoothing)
    assert float(loss(outputs, labels)) == pytest.approx(math.fsum(costs) / 3, abs=1e-6)
    assert float(loss(outputs, labels, 10)) == pytest.approx(math.fsum(costs) / 10, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_token_loss_pulls_as_pytorchs_cross_entropy_does(smoothing: float) -> None:
    """Its gradient is made by hand; autograd's, of the same loss, is what it must be."""
    generator = torch.Generator().manual_seed(1)
    logits_BTV = 20 * torch.randn(3, 5, 11, generator=generator)
    labels_BT = torch.randint(11, (3, 5), generator=generator)
    labels_BT[0, 2:] = labels_BT[1, 0] = IGNORED
    ours, theirs = (logits_BTV.clone().requires_grad_() for _ in range(2))
    (7 * token_loss(smoothing)({"logits": ours}, labels_BT, 10)).backward()
    total = torch.nn.functional.cross_entropy(
        theirs.flatten(0, 1), labels_BT.flatten(), reduction="sum", label_smoothing=smoothing
    )
    (7 * total / 10).backward()
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-7)
    assert logits_BTV.equal(ours.detach())  # and what it was given is as it was


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
