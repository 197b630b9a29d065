"""Attributions: they add up in every family, find what was planted, and say when they do not."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models.why
from models.base import Base, resolve_base
from models.config import BaseConfig, ScratchConfig
from models.predict import Classifier
from models.scratch import write_scratch
from models.why import WhyAnswer, WhyRequest, attribute, main
from records.attribution import Attribution
from tests.models.trainings import changed, rows, train_tiny

FAMILIES = ("bert", "gpt2", "llama", "xlnet", "t5")
TEXT = "the thing7 number 7 is lovely"


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    sharpest = changed(epochs=6, max_length=48, metric="log_loss")
    train_tiny(make(folder, request.param), folder / "model", sharpest)
    return folder / "model"


def make(folder: Path, family: str) -> Base:
    config = ScratchConfig.model_validate(
        {"architecture": family, "layers": 1, "width": 32, "heads": 2, "positions": 64,
         "vocabulary": 400}
    )  # fmt: skip
    write_scratch(config, rows(folder).texts, frozenset(), folder / "base")
    return resolve_base(BaseConfig(scratch=config), folder=folder / "base")


def words(text: str, found: Attribution) -> dict[str, float]:
    return {text[p.start : p.end].strip(): p.value for p in found.pieces}


def test_the_parts_add_up_to_the_difference_of_the_scores(model: Path) -> None:
    classifier = Classifier.load(model)
    for text in (TEXT, "不好 awful", "x"):
        found = attribute(classifier, text)
        assert found.is_complete, (text, found.gap, found.tolerance, found.num_steps)
        probabilities = classifier.probabilities([text])[0][0]
        assert found.probability == pytest.approx(probabilities.max())
        odds = np.log(found.probability / (1 - found.probability))
        assert found.score == pytest.approx(odds, abs=1e-4)
        total = sum(p.value for p in found.pieces)
        assert total == pytest.approx(found.score - found.blank_score, abs=found.tolerance + 1e-6)
        places = [(p.start, p.end) for p in found.pieces]
        assert places == sorted(places)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(places))


def test_the_word_that_decides_gets_its_share(model: Path) -> None:
    """Of two texts that differ in their last word, it carries much of the difference."""
    classifier = Classifier.load(model)
    good, awful = (
        attribute(classifier, f"the thing7 number 7 is {word}", "positive")
        for word in ("good", "awful")
    )
    begins = TEXT.index(" lovely")
    shares = [sum(p.value for p in found.pieces if p.start >= begins) for found in (good, awful)]
    assert shares[0] - shares[1] > 0.3 * (good.score - awful.score) > 0.5


def test_the_other_label_gets_the_opposite(model: Path) -> None:
    classifier = Classifier.load(model)
    one, other = (attribute(classifier, TEXT, label) for label in ("positive", "negative"))
    assert one.score == pytest.approx(-other.score, abs=1e-6)
    assert [p.value for p in one.pieces] == pytest.approx(
        [-p.value for p in other.pieces], abs=1e-3
    )


def test_parts_that_do_not_add_up_are_said_to(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier.load(model)
    integrate = models.why._integrate

    def lossy(*arguments: Any) -> Any:
        values, score, blank, steps = integrate(*arguments)
        return [v + 0.5 for v in values], score, blank, steps

    monkeypatch.setattr(models.why, "_integrate", lossy)
    found = attribute(classifier, TEXT)
    assert not found.is_complete
    assert found.gap > 1


def test_a_hand_made_integral_gives_the_same(model: Path) -> None:
    """The definition: (x - x') times the mean gradient along the straight path, by midpoints."""
    classifier = Classifier.load(model)
    found = attribute(classifier, TEXT)
    tokenizer, network = classifier.tokenizer, classifier.model
    ids = tokenizer(TEXT)["input_ids"]
    blank = models.why._blank(network, tokenizer, ids)
    label = classifier.labels.index(found.label)
    score = models.why._score_function(network, models.why.Question(ids, blank, label))
    embed = network.get_input_embeddings()
    end, start = (embed(torch.tensor([row])).detach() for row in (ids, blank))
    gradient = torch.zeros_like(end)
    for k in range(300):
        point = (start + (k + 0.5) / 300 * (end - start)).requires_grad_()
        gradient += torch.autograd.grad(score(point).sum(), point)[0] / 300
    shares = ((end - start) * gradient).sum(dim=-1)[0]
    assert sum(p.value for p in found.pieces) == pytest.approx(float(shares.sum()), abs=0.1)
    special = set(tokenizer.all_special_ids)
    by_hand = [float(s) for s, i in zip(shares, ids, strict=True) if i not in special]
    assert [p.value for p in found.pieces] == pytest.approx(by_hand, abs=0.05)


def test_a_process_of_its_own_answers_with_places_and_no_text(model: Path, tmp_path: Path) -> None:
    request = WhyRequest(model_path=str(model), texts={"item1": TEXT})
    (tmp_path / "request.json").write_bytes(request.to_json())
    assert main([str(tmp_path / "request.json"), str(tmp_path / "result.json")]) == 0
    written = (tmp_path / "result.json").read_bytes()
    assert b"lovely" not in written
    found = WhyAnswer.from_json(written).attributions["item1"]
    assert words(TEXT, found).keys() == words(TEXT, attribute(Classifier.load(model), TEXT)).keys()
