"""`base: auto` in the flow: the right one of three wins, without a look at the test split."""

import shutil
from pathlib import Path

import pytest

from flows.recipe import Recipe
from records.document import DecisionDocument
from records.search import SearchResult
from tasks.choice import NoCandidate, choose_base
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TINY = "{scratch: {architecture: bert, layers: 1, width: 16, heads: 2, positions: 64, vocabulary: 600}}"


def recipe_of(world: World, *overrides: str) -> Recipe:
    """From nothing, a random one, and one that was trained on other rows of the same kind."""
    known = world.home / "by-hand"
    return world.recipe(
        f"base={{candidates: [{TINY}, {world.files / 'base'}, {known}], probe_rows: 64}}",
        "train.epochs=2",
        "train.batch_size=8",
        *overrides,
    )


def choose(world: World, recipe: Recipe) -> SearchResult:
    return choose_base.fn(world.place, NAME, world.data(recipe), recipe.base, recipe.train)


def without_times(found: SearchResult) -> list[object]:
    return [trial.model_copy(update={"wall_s": 0.0}) for trial in found.trials]


def test_the_right_base_wins_unseen_by_the_test_and_goes_to_the_gate(
    adopted: World, prefect_server: None
) -> None:
    recipe = recipe_of(adopted)
    result = adopted.run(recipe)
    assert result.decision_digest, result.summary
    file = adopted.path(f"reports/{NAME}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    found = document.choice
    assert found is not None
    assert found.best == 2
    assert sorted(trial.state for trial in found.trials) == ["cut", "finished", "finished"]
    assert [len(trial.points) for trial in found.trials if trial.state == "finished"] == [2, 2]
    assert all(trial.wall_s > 0 for trial in found.trials)
    assert not found.is_cut
    known = str(adopted.home / "by-hand")
    assert document.recipe["base"]["model"] == document.train.base == known
    assert {"choose", "train"} <= {cost.step for cost in document.costs}
    page = Path(result.report_path).read_text("utf-8")
    assert "Choice of the base" in page
    assert "2 (chosen)" in page
    assert "architecture bert, layers 1, width 16" in page

    # Each short training is a run in MLflow, a child of the choice's.
    runs = [run for run in adopted.runs() if run.data.tags.get("refit.search") == found.search_key]
    assert len(runs) == 1 + 3 + 2
    assert len({run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}) == 1

    # The same again finds nothing new; and the choice needs no test split to come to the same.
    assert adopted.run(recipe).outcome == "unchanged"
    data = adopted.data(recipe)
    seen = tuple(ref for ref in data.splits if ref.split != "test")
    data = data.model_copy(update={"splits": seen})
    shutil.rmtree(adopted.path(f"searches/{found.search_key}"))
    again = choose_base.fn(adopted.place, NAME, data, recipe.base, recipe.train)
    assert without_times(again) == without_times(found)
    assert again.best == found.best


def test_a_time_limit_ends_after_a_whole_round_and_is_marked(adopted: World) -> None:
    found = choose(adopted, recipe_of(adopted, "base.budget_s=0.001"))
    assert found.is_cut
    assert adopted.search_tags(found) == {"True"}
    assert [len(trial.points) for trial in found.trials] == [1, 1, 1]
    assert {trial.state for trial in found.trials} == {"finished"}
    whole = choose(adopted, recipe_of(adopted))  # takes the first round from the store
    assert not whole.is_cut
    assert adopted.search_tags(whole) == {"False"}, "the same run goes on"
    assert whole.search_key == found.search_key
    assert whole.trials[2].points[0] == found.trials[2].points[0]


def test_all_candidates_that_cannot_be_had_are_named_at_once(adopted: World) -> None:
    recipe = adopted.recipe(f"base={{candidates: [package:nope, {TINY}, /no/folder]}}")
    with pytest.raises(NoCandidate) as caught:
        choose(adopted, recipe)
    said = str(caught.value)
    assert "2 of 3 cannot be tried" in said
    assert "package:nope: " in said
    assert "/no/folder: " in said
