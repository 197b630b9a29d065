"""`train.budget_s` in the flow: a cut result is judged and marked, and never taken for a finished one."""

from pathlib import Path

import pytest

from flows.recipe import RecipeError
from models.watch import Watch
from records.document import DecisionDocument
from tasks.search import search_settings
from tasks.train import read_result
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

CUT = "train.budget_s=0.001"


def test_a_cut_result_is_judged_marked_and_not_reused(adopted: World, prefect_server: None) -> None:
    recipe = adopted.recipe(CUT)
    result = adopted.run(recipe)
    file = adopted.path(f"reports/{NAME}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    assert document.train.is_cut
    assert document.train.num_steps == 1
    assert "Cut by train.budget_s" in Path(result.report_path).read_text("utf-8")
    key = adopted.train_key(recipe, adopted.data(recipe))
    assert document.train.train_key != key
    assert read_result(adopted.store, key) is None
    assert read_result(adopted.store, document.train.train_key) == document.train

    # The next night, with the same rows and as much time, there is nothing new to train.
    assert adopted.train(recipe) == document.train

    # A limit is no part of the key: with more time it is the training without one.
    longer = adopted.train(adopted.recipe())
    assert longer.train_key == key
    assert not longer.is_cut
    assert longer.num_steps > 1
    assert adopted.train(adopted.recipe("train.budget_s=3600")) == longer
    run = next(run for run in adopted.runs() if run.info.run_id == longer.mlflow_run_id)
    assert run.data.tags["refit.is_cut"] == "False"


def test_a_champion_whose_training_was_cut_stays_while_rows_and_budget_do(
    adopted: World, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is over half way, when enough is learned; the next night the machine is faster."""
    monkeypatch.setattr(Watch, "_is_over_budget", lambda watch: watch.num_tokens > 10_000)
    recipe = adopted.recipe("train.budget_s=60", "train.metric=log_loss")
    first = adopted.run(recipe)
    assert first.outcome == "promoted", first.summary
    monkeypatch.setattr(Watch, "_is_over_budget", lambda watch: watch.num_tokens > 12_000)
    again = adopted.run(recipe)
    assert (again.outcome, again.version) == ("unchanged", first.version), again.summary
    assert len(adopted.index) == 1, "no other challenger was judged"


def test_a_search_ends_between_trials_and_says_so(adopted: World) -> None:
    recipe = adopted.recipe(
        "train.epochs=1",
        CUT,
        "search={trials: 3, learning_rate: [1.0e-4, 1.0e-2], budget_s: 0.001}",
    )
    data = adopted.data(recipe)
    key = adopted.train_key(recipe, data)
    assert recipe.search is not None
    found = search_settings.fn(
        adopted.place, NAME, data, recipe.base, recipe.train, recipe.search, key
    )
    assert found.is_cut
    assert [trial.state for trial in found.trials] == ["finished"]
    assert found.trials[0].points[-1][0] > 1, "train.budget_s cuts no trial"
    assert adopted.search_tags(found) == {"True"}


def test_what_a_person_approves_later_must_be_kept(adopted: World) -> None:
    with pytest.raises(RecipeError, match=r"train\.budget_s: a training that it cuts is not kept"):
        adopted.recipe(CUT, "gate.approval=required")
