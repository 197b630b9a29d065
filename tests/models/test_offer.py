"""`base: auto`: what is offered for which texts, under which limits."""

from pathlib import Path

import pytest
from transformers import AutoModel

from models.base import resolve_base
from models.config import BaseConfig, ScratchConfig, TrainConfig
from models.offer import (
    MINILM,
    ROW_WEIGHTS_PER_S,
    Figures,
    Offer,
    count_weights,
    list_bases,
    narrow,
    num_affordable,
)
from models.scratch import write_scratch
from records.task import TASKS, Task

FEW = Figures(num_rows=500, num_bytes=40_000, latin_share=0.9)


def names(offer: Offer) -> list[str]:
    return [option.name for option in offer.options]


def bases(*names: str) -> Offer:
    return Offer(options=tuple(BaseConfig(model=name) for name in names))


def auto(**limits: float) -> BaseConfig:
    return BaseConfig.model_validate({"model": "auto", **limits})


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_offered_what_fits_it_and_needs_no_hub(task: Task) -> None:
    offer = list_bases(task, FEW, TrainConfig())
    assert len(offer.options) >= 2
    assert len(set(names(offer))) == len(offer.options)
    for option in offer.options:
        assert option.model.startswith(("package:", "scratch"))
        assert option.scratch is None or option.scratch.architecture in TASKS[task].architectures
    assert offer.left_out == ()
    assert offer.reason == "500 training rows, 40,000 bytes of text"


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_an_english_base_is_offered_where_half_of_the_texts_are_latin(task: Task) -> None:
    assert MINILM in names(list_bases(task, FEW._replace(latin_share=0.5), TrainConfig()))
    offer = list_bases(task, FEW._replace(latin_share=0.04), TrainConfig())
    assert names(offer) == [
        "scratch:bert 2x64", "scratch:gpt2 2x64", "scratch:bert 4x128", "scratch:gpt2 4x128",
    ]  # fmt: skip
    assert [(left.name, left.why) for left in offer.left_out] == [
        (MINILM, "it reads English, and 96% of the training texts are not in Latin script")
    ]


def test_the_shapes_grow_with_the_text() -> None:
    def shapes(num_bytes: int) -> list[tuple[int, int, int]]:
        figures = FEW._replace(num_bytes=num_bytes)
        options = list_bases("language_modeling", figures, TrainConfig()).options
        found = [option.scratch for option in options if option.scratch]
        return [(s.layers, s.width, s.vocabulary) for s in found if s.architecture == "gpt2"]

    small, middle, large = (2, 64, 1000), (4, 128, 4000), (4, 256, 8000)
    assert shapes(0) == shapes(299_999) == [small, middle]
    assert shapes(300_000) == shapes(9_999_999) == [middle, large]
    assert shapes(10_000_000) == [large]


def test_a_shape_has_room_for_the_lengths_of_the_recipe() -> None:
    long = TrainConfig(max_length=600, max_target_length=700)
    for task, positions in (("language_modeling", 600), ("translation", 700)):
        for option in list_bases(task, FEW, long).options:
            assert option.scratch is not None
            assert option.scratch.positions == positions
    default = list_bases("translation", FEW, TrainConfig()).options[0].scratch
    assert default is not None
    assert default.positions == 512


def test_cheap_ones_come_first_and_those_over_the_limit_are_named() -> None:
    offer = narrow(
        bases("a", "b", "c"), (2000, 3000, 1000), auto(max_parameters=2000), first=9, num_rows=9
    )
    assert names(offer) == ["c", "a"]
    assert [(left.name, left.why) for left in offer.left_out] == [
        ("b", "3,000 weights, over base.max_parameters=2,000")
    ]
    whole = narrow(bases("a", "b"), (5, 5), auto(), first=9, num_rows=9)
    assert names(whole) == ["a", "b"], "equal ones keep their order"
    assert whole.left_out == ()


def test_a_budget_pays_for_the_cheapest_by_rows_times_weights() -> None:
    weights, unit = (1, 1, 20), 1 / ROW_WEIGHTS_PER_S
    # Two: one round of 8 rows. Three: 8 rows of all, then 16 rows of the two largest.
    cost = {1: 0, 2: 8 * 2, 3: 8 * 22 + 16 * 21}
    for count in (2, 3):
        assert num_affordable(weights, cost[count] * unit, 8, 100) == count
        assert num_affordable(weights, (cost[count] - 1) * unit, 8, 100) == count - 1
    assert num_affordable((), 1, 8, 100) == 0
    offer = narrow(
        bases("a", "b", "c"), (20, 1, 1), auto(budget_s=20 * unit), first=8, num_rows=100
    )
    assert names(offer) == ["b", "c"]
    assert [left.why for left in offer.left_out] == [
        "20 weights; of the cheapest first, base.budget_s=5e-09 pays for 2"
    ]


def test_weights_are_counted_as_the_model_has_them(tmp_path: Path) -> None:
    config = ScratchConfig(architecture="gpt2", layers=1, width=16, heads=2, vocabulary=300)
    write_scratch(config, ["a lamp", "a red lamp"], frozenset(), tmp_path / "base")
    base = resolve_base(BaseConfig(scratch=config), folder=tmp_path / "base")
    drawn = AutoModel.from_pretrained(base.path)
    assert count_weights(base.path) == sum(weight.numel() for weight in drawn.parameters())
    assert round(count_weights(resolve_base(BaseConfig()).path) / 1e6, 1) == 22.7
