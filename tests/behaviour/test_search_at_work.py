"""A search in the flow: better than refit's own settings, resumable, and judged like any other."""

from pathlib import Path
from typing import Any

import pytest

from flows import retrain
from flows.recipe import Recipe
from models.config import SearchConfig, TrainConfig
from records.document import DecisionDocument
from tasks.changes import adopt
from tasks.search import search_key, search_settings
from tests.tiny import write_csv
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

FIT_THE_BASE = "{max_length: 32, precision: fp32, evaluations_per_epoch: 2}"
"""All that is given of `train`: what the tiny base can take, and two validations an epoch."""
SEARCH = (
    "train.learning_rate=1.0e-6",  # learns nothing: any search does better
    "train.epochs=2",
    "train.evaluations_per_epoch=2",
    "search={trials: 6, learning_rate: [1.0e-6, 1.0e-2]}",
)


def test_of_two_runs_that_search_the_same_one_searches(
    adopted: World, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, outcomes, search = adopted.recipe(*SEARCH), [], retrain.with_best_settings

    def search_beside_another_run(*args: Any) -> Any:
        if not outcomes:
            outcomes.append("")
            outcomes[0] = adopted.run(recipe).outcome
        return search(*args)

    monkeypatch.setattr(retrain, "with_best_settings", search_beside_another_run)
    assert adopted.run(recipe).decision_digest
    assert outcomes == ["already_running"]


@pytest.fixture
def by_default(files: Path, tmp_path: Path, prefect_server: None) -> tuple[World, Recipe]:
    """A home whose champion was trained by refit's own settings, and the recipe that trained it.

    On so few rows, their learning rate takes so small a model not far in three epochs.
    """
    few = write_csv(tmp_path / "few.csv", num_rows=400)
    world = World(tmp_path / "home", files)
    world.home.mkdir()
    recipe = world.recipe(f"data.train={few}", f"train={FIT_THE_BASE}", "gate.rule=superior")
    trained = world.train(recipe)
    version = world.registry.register(
        name=NAME, model_path=world.path(trained.model_key), model_digest=trained.model_digest,
        run_id=trained.mlflow_run_id, description="Trained by the defaults.", tags={},
    )  # fmt: skip
    adopt(world.place, NAME, version, actor="ann", reason="trained by the defaults")
    return world, recipe


def test_a_search_beats_the_defaults_and_its_best_is_promoted_over_their_champion(
    by_default: tuple[World, Recipe],
) -> None:
    adopted, plain = by_default
    given = {"max_length", "precision", "evaluations_per_epoch", "metric"}
    assert plain.train.model_dump(exclude=given) == TrainConfig().model_dump(exclude=given)
    search = SearchConfig(trials=6, learning_rate=(1.0e-5, 1.0e-2))
    recipe = plain.model_copy(update={"search": search})
    result = adopted.run(recipe)
    assert result.outcome == "promoted", result.summary
    file = adopted.path(f"reports/{NAME}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    found = document.search
    assert found is not None
    assert len(found.trials) == 6
    own, winner = found.trials[0], found.winner
    assert own.settings == {}
    assert winner.best_value is not None
    assert own.best_value is not None
    assert winner.best_value > own.best_value + 0.2
    record, findings = document.file.record, document.file.decision.findings
    assert record.champion is not None
    assert record.champion.model_digest == adopted.entries[0].model_digest
    assert record.challenger.metrics["accuracy"] > record.champion.metrics["accuracy"] + 0.1
    (against,) = [finding for finding in findings if finding.rule == "champion"]
    assert against.interval is not None
    assert against.interval.lower is not None
    assert against.interval.lower > 0, "on the test split, by more than noise"
    assert document.recipe["train"]["learning_rate"] == winner.settings["learning_rate"]
    assert document.train.seed == winner.seed
    assert document.train.best_value == winner.best_value  # trained again, to the same weights
    assert "search" in {cost.step for cost in document.costs}
    page = Path(result.report_path).read_text("utf-8")
    assert page.count("<tr>") > 6
    assert f"{found.best} (chosen)" in page

    # Each trial is a run in MLflow, a child of the search's.
    runs = [run for run in adopted.runs() if run.data.tags.get("refit.search") == found.search_key]
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert len(runs) == 7
    assert parents <= {run.info.run_id for run in runs}
    assert len(parents) == 1

    # Killed after the fourth trial, it goes on with the fifth and comes to the same.
    made = sorted(adopted.path(f"searches/{found.search_key}").glob("*.json"))
    before = [path.stat().st_mtime_ns for path in made]
    made[4].unlink()
    made[5].unlink()
    data = adopted.data(recipe)
    seen = tuple(ref for ref in data.splits if ref.split != "test")
    data = data.model_copy(update={"splits": seen})  # no trial could look at the test
    assert recipe.search is not None
    key = adopted.train_key(recipe, data)
    again = search_settings.fn(
        adopted.place, NAME, data, recipe.base, recipe.train, recipe.search, key
    )
    assert again.search_key == found.search_key
    assert [t.model_copy(update={"wall_s": 0.0}) for t in again.trials] == [
        t.model_copy(update={"wall_s": 0.0}) for t in found.trials
    ]
    assert [path.stat().st_mtime_ns for path in made][:4] == before[:4]

    # Beside four good ones, a trial that learns nothing is cut at a step, and never chosen.
    hopeless = recipe.search.model_copy(update={"trials": 5, "learning_rate": (1.0e-6, 2.0e-6)})
    folder = adopted.path(f"searches/{search_key(hopeless, key)}")
    folder.mkdir()
    for number in range(4):
        good = winner.model_copy(update={"number": number, "settings": {}})
        (folder / f"{number:04d}.json").write_bytes(good.to_json())
    ended = search_settings.fn(adopted.place, NAME, data, recipe.base, recipe.train, hopeless, key)
    cut = ended.trials[4]
    assert (cut.state, cut.best_value) == ("cut", None)
    steps = [step for step, _ in winner.points]
    assert [step for step, _ in cut.points] == steps[: len(cut.points)]
    assert len(cut.points) < len(steps)
    assert ended.best < 4
    runs = [r for r in adopted.runs() if r.data.tags.get("refit.search") == ended.search_key]
    assert [r.data.params["number"] for r in runs if r.data.params.get("state") == "cut"] == ["4"]
