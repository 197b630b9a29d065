"""`base: auto` and `base.candidates` in a recipe."""

import pytest
import yaml
from jsonschema import Draft202012Validator

from flows.recipe import Recipe, RecipeError, parse_recipe, recipe_schema
from records.policy import LOSSES
from records.task import TASKS, Task


def recipe(text: str, task: Task = "classification", *overrides: str) -> Recipe:
    least = "9" if TASKS[task].metrics[0] in LOSSES else "0.5"
    values = yaml.safe_load(
        f"{{name: a, task: {task}, data: {{source: 'sample:x'}}, gate: {{minimum: {least}}}}}"
    )
    values["base"] = yaml.safe_load(text)
    return parse_recipe(values, overrides)


@pytest.mark.parametrize("task", TASKS)
def test_auto_names_no_base_before_the_data_are_known(task: Task) -> None:
    found = recipe("auto", task)
    assert found.base.is_auto
    assert found.base.options == ()
    assert found.base.name == "auto"
    assert parse_recipe(found.model_dump(mode="json")) == found
    limited = recipe("{model: auto, probe_rows: 50, max_parameters: 5_000_000, budget_s: 9}", task)
    assert limited.base.probe_rows == 50
    assert limited.base.max_parameters == 5_000_000
    assert limited.base.digest != found.base.digest


def test_candidates_are_bases_of_any_kind_and_an_editor_takes_them() -> None:
    pinned = f"{{model: b/c, revision: {'a' * 40}}}"
    text = f"[models:/a@champion, {pinned}, {{scratch: {{architecture: bert}}}}]"
    found = recipe(f"{{candidates: {text}}}").base
    assert [option.name for option in found.options] == [
        "models:/a@champion", "b/c", "scratch:bert 4x128",
    ]  # fmt: skip
    check = Draft202012Validator(recipe_schema())
    values = {"name": "a", "data": {"source": "x"}, "gate": {"minimum": 0.5}}
    for base in ("auto", {"candidates": yaml.safe_load(text)}, {"model": "b/c"}):
        assert not list(check.iter_errors({**values, "base": base})), base
    assert list(check.iter_errors({**values, "base": {"modle": "b/c"}}))


def test_a_list_of_its_own_is_taken_as_it_is() -> None:
    text = "[{scratch: {architecture: bert}}, {scratch: {architecture: gpt2}}]"
    found = recipe(f"{{model: auto, candidates: {text}}}").base
    assert [option.name for option in found.options] == ["scratch:bert 4x128", "scratch:gpt2 4x128"]
    with pytest.raises(RecipeError, match="max_parameters is for model: auto without candidates"):
        recipe(f"{{candidates: {text}, max_parameters: 9}}")


def test_a_wrong_candidate_is_told_by_its_place() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe("{candidates: [{scratch: {architecture: bert}}, {scratch: {architecture: marian}}]}")
    assert "base.candidates.1.scratch.architecture: 'marian' has no head for" in str(caught.value)
    with pytest.raises(
        RecipeError, match=r"candidates\.0\.scratch\.widht: unknown key; did you me"
    ):
        recipe("{candidates: [{scratch: {architecture: bert, widht: 8}}, a]}")
    with pytest.raises(
        RecipeError, match=r"max_length: 99 exceeds base\.candidates\.0\.scratch\.p"
    ):
        recipe(
            "{candidates: [{scratch: {architecture: bert, positions: 64}}, a]}",
            "classification",
            "train.max_length=99",
        )
