"""Candidates for the base: fewer and fewer see more and more rows, and their losses compare."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.config import BaseConfig, TrainConfig
from models.errors import SettingExceedsModel
from models.halving import (
    better_half,
    merge_rounds,
    probe_config,
    round_sizes,
    sample,
    settings_of,
)
from models.scoring import score
from models.task_code import Examples
from records.labels import read_labels
from records.search import Trial
from records.task import Task
from tests.models.test_every_task import ANSWERS, request_of, train_small


def probe(number: int, value: float | None) -> Trial:
    return Trial(
        number=number, seed=1, settings={"model": f"m{number}"}, best_value=value, wall_s=1.0,
        state="finished" if value is not None else "diverged",
        points=() if value is None else ((10, value),),
    )  # fmt: skip


def test_rows_double_while_candidates_halve() -> None:
    assert round_sizes(2, 1000, 10**6) == [1000]
    assert round_sizes(3, 1000, 10**6) == [1000, 2000]
    assert round_sizes(8, 1000, 10**6) == [1000, 2000, 4000]
    assert round_sizes(5, 1000, 10**6) == [1000, 2000, 4000]
    assert round_sizes(8, 1000, 1500) == [1000, 1500], "no round after the one with all rows"
    assert round_sizes(8, 1000, 700) == [700]


def test_the_better_half_goes_on_by_the_metrics_own_direction() -> None:
    probes = [probe(0, 0.3), probe(1, 0.9), probe(2, None), probe(4, 0.5)]
    assert better_half(probes, "accuracy") == [1, 4]
    assert better_half(probes, "loss_per_byte") == [0, 4]
    assert better_half([probe(0, 0.5), probe(1, 0.5)], "accuracy") == [0], "the first of equals"
    assert better_half([probe(0, None), probe(1, None)], "accuracy") == []


def test_a_candidate_is_finished_by_the_last_round_alone() -> None:
    rounds = [{0: probe(0, 0.9), 1: probe(1, None), 2: probe(2, 0.8)}, {0: probe(0, 0.7)}]
    merged = merge_rounds(rounds)
    assert [trial.state for trial in merged] == ["finished", "diverged", "cut"]
    assert merged[0].points == ((10, 0.9), (10, 0.7))
    assert merged[0].best_value == 0.7
    assert merged[0].wall_s == 2.0


def test_a_larger_sample_holds_the_smaller_one_and_every_label_comes() -> None:
    texts = [f"text {i}" for i in range(200)]
    rows = Examples(texts, ["rare" if i == 77 else "often" for i in range(200)])
    small, large = (sample(rows, n, 3, ("often", "rare", "absent")) for n in (10, 40))
    assert len(small.texts) == 10
    assert set(small.texts) < set(large.texts)
    assert "rare" in small.labels
    assert sample(rows, 10, 3, ("often", "rare")) == small
    assert sample(rows, 10, 4).texts != small.texts
    assert sample(rows, 500, 3) == rows


def test_a_probe_is_one_pass_and_judged_by_what_no_tokenizer_moves() -> None:
    config = probe_config(TrainConfig(epochs=9, metric="loss_per_token", budget_s=5))
    assert (config.epochs, config.metric, config.budget_s) == (1, "loss_per_byte", None)
    assert probe_config(TrainConfig(metric="macro_f1")).metric == "macro_f1"


@pytest.mark.parametrize(
    ("task", "architecture"), [("language_modeling", "gpt2"), ("chat", "llama")]
)
def test_a_validated_loss_per_byte_is_the_scored_one(
    task: Task, architecture: str, tmp_path: Path
) -> None:
    trained = train_small(task, architecture, tmp_path, "model", metric="loss_per_byte")
    card = score(request_of(tmp_path, task))  # of the validation texts
    assert trained.best_value == pytest.approx(card.metrics["loss_per_byte"], rel=1e-4)
    assert "validation_loss_per_byte" in {point.name for point in trained.curve}


def test_a_translators_loss_per_byte_is_over_what_the_targets_say(tmp_path: Path) -> None:
    whole = train_small("translation", "t5", tmp_path, "model", metric="loss_per_byte")
    per_token = {p.name: p.value for p in whole.curve}["validation_loss_per_token"]
    num_bytes = sum(len(answer.encode()) for answer in ANSWERS["translation"][:4])
    tokens = whole.best_value * num_bytes / per_token
    assert tokens == pytest.approx(round(tokens), abs=1e-3)


def test_what_fills_in_blanks_has_no_loss_per_byte(tmp_path: Path) -> None:
    with pytest.raises(SettingExceedsModel, match=r"fills in blanks.*leave it out of base\.candid"):
        train_small("language_modeling", "bert", tmp_path, "model", metric="loss_per_byte")


def test_a_base_may_be_a_text_and_candidates_say_what_they_cannot_be() -> None:
    base = BaseConfig.model_validate(
        {"candidates": ["models:/a@champion", {"scratch": {"architecture": "bert", "layers": 2}}]}
    )
    assert [option.name for option in base.options] == ["models:/a@champion", "scratch:bert 2x128"]
    assert settings_of(base.options[1]) == {"architecture": "bert", "layers": 2, "width": 128}
    assert BaseConfig.model_validate(base.model_dump(mode="json")) == base
    assert BaseConfig.model_validate("a/b").options == (BaseConfig(model="a/b"),)
    assert BaseConfig.model_validate("auto").options == ()
    for wrong, said in [
        ({"candidates": ["a"]}, "nothing to choose"),
        ({"candidates": ["a", "a"]}, "holds one base twice"),
        ({"model": "b", "candidates": ["a", "c"]}, "model='b' and candidates exclude each other"),
        ({"candidates": ["a", {"candidates": ["b", "c"]}]}, "candidates of candidates"),
        ({"candidates": ["a", "auto"]}, "candidates of candidates"),
        ({"model": "b", "max_parameters": 9}, "max_parameters is for model: auto"),
        ({"candidates": ["a", "c"], "max_parameters": 9}, "max_parameters is for model: auto"),
        ({"model": "b", "probe_rows": 9}, "are for candidates"),
    ]:
        with pytest.raises(ValidationError, match=said):
            BaseConfig.model_validate(wrong)


def test_of_sets_each_label_comes_at_least_once() -> None:
    answers = ['["often"]'] * 99 + ['["often","rare"]']
    rows = Examples([f"text {i}" for i in range(100)], answers)
    drawn = sample(rows, 5, 3, ("often", "rare"), read_labels)
    assert len(drawn.texts) == 5
    assert "text 99" in drawn.texts
