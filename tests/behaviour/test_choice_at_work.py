"""`base: auto` in the flow: the right one of three wins, without a look at the test split."""

import shutil
from pathlib import Path

import pytest

from flows.best import with_best_base
from flows.costs import Costs
from flows.recipe import Recipe
from flows.retrain import SEARCHED
from models.offer import MINILM, Offer
from records.base import digest_of
from records.document import DecisionDocument
from records.search import SearchResult
from tasks.choice import NoCandidate, choose_base, offer_bases
from tasks.lease import lease
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


# -- base: auto, without a list

GOOD = """good great lovely wonderful excellent delightful charming brilliant superb pleasant perfect
beautiful amazing fantastic marvellous splendid terrific enjoyable magnificent impressive"""
BAD = """bad awful terrible horrible dreadful poor boring disappointing ugly unpleasant useless broken
nasty miserable pathetic disgusting annoying lousy rotten horrid"""
PRAISE = (GOOD.split(), BAD.split())
"""So many words that a few rows do not teach them: whoever read English before knows more."""
CHINESE = (["很好 我们都高兴"], ["不好 我们都无聊"])


def auto_recipe(world: World, words: tuple[list[str], list[str]], *overrides: str) -> Recipe:
    """`base: auto` on few rows that say good or bad in these words."""
    world.home.mkdir(exist_ok=True)
    for name, first, num_rows in (("rows", 0, 240), ("test", 5000, 100)):
        lines = ["text,label"]
        for i in range(first, first + num_rows):
            word = words[i % 2][i // 2 % len(words[i % 2])]
            lines.append(f"{i * 7919 % 10007} {word},{('good', 'bad')[i % 2]}")
        (world.home / f"{name}.csv").write_text("\n".join(lines), "utf-8")
    return world.recipe(
        "base={model: auto}",
        f"data.train={world.home / 'rows.csv'}",
        f"data.test={world.home / 'test.csv'}",
        "train.epochs=1",
        "train.batch_size=8",
        "train.learning_rate=0.0003",
        "gate.min_items=50",
        *overrides,
    )


def offered(world: World, recipe: Recipe) -> Offer:
    return offer_bases.fn(world.place, world.data(recipe), recipe.base, recipe.train)


def test_auto_finds_the_base_that_knows_the_language(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = auto_recipe(world, PRAISE, "base.probe_rows=64")
    data = world.data(recipe)
    best, found = with_best_base(world.place, recipe, data, Costs(None))
    assert found is not None
    assert [list(trial.settings.values())[:3] for trial in found.trials] == [
        ["gpt2", 2, 64], ["bert", 2, 64], ["gpt2", 4, 128], ["bert", 4, 128], [MINILM],
    ]  # fmt: skip
    assert best.base.model == MINILM
    assert found.best == 4
    again = with_best_base(world.place, recipe, data, Costs(None))
    assert again == (best, found)


def test_auto_goes_through_the_flow_to_a_page_that_says_what_was_left_out(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = auto_recipe(world, PRAISE, "base.max_parameters=300000")
    result = world.run(recipe)
    assert result.decision_digest, result.summary
    file = world.path(f"reports/{NAME}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    found = document.choice
    assert found is not None
    assert {trial.settings["width"] for trial in found.trials} == {64}
    assert [left.name for left in found.left_out] == [
        "scratch:gpt2 4x128", "scratch:bert 4x128", MINILM,
    ]  # fmt: skip
    chosen = found.winner.settings["architecture"]
    assert document.recipe["base"]["scratch"]["architecture"] == chosen
    page = Path(result.report_path).read_text("utf-8")
    assert f"Offered for {document.data.split('train').num_rows} training rows" in page
    assert "over base.max_parameters=300,000" in page


def test_a_chinese_set_is_offered_no_english_base_and_a_small_shape(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    offer = offered(world, auto_recipe(world, CHINESE))
    assert [option.name for option in offer.options] == [
        "scratch:gpt2 2x64", "scratch:bert 2x64", "scratch:gpt2 4x128", "scratch:bert 4x128",
    ]  # fmt: skip
    assert [left.name for left in offer.left_out] == [MINILM]
    assert "100% of the training texts are not in Latin script" in offer.left_out[0].why


def test_what_does_not_fit_or_is_too_large_is_left_out_with_the_reason(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    long = offered(world, auto_recipe(world, PRAISE, "train.max_length=600"))
    assert {o.scratch.positions for o in long.options if o.scratch} == {600}
    assert [left.name for left in long.left_out] == [MINILM]
    assert "max_length=600 exceeds the 512 positions" in long.left_out[0].why

    small = offered(world, auto_recipe(world, PRAISE, "base.max_parameters=5000000"))
    assert len(small.options) == 4
    assert [left.name for left in small.left_out] == [MINILM]
    assert "over base.max_parameters=5,000,000" in small.left_out[0].why

    with pytest.raises(NoCandidate, match="nothing left to choose from") as caught:
        offered(world, auto_recipe(world, PRAISE, "base.max_parameters=9"))
    assert str(caught.value).count("over base.max_parameters=9") == 5


def test_a_base_that_is_alone_is_taken_without_a_training(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = auto_recipe(world, PRAISE, "base.budget_s=0.000001")
    best, found = with_best_base(world.place, recipe, world.data(recipe), Costs(None))
    assert found is not None
    assert best.base.name == "scratch:gpt2 2x64"
    assert found.trials[found.best].points == ()
    assert len(found.left_out) == 4
    assert not list(world.store.list("searches"))


def test_a_budget_shortens_the_list_and_no_clock_cuts_what_it_pays_for(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = auto_recipe(world, PRAISE, "base.probe_rows=64", "base.budget_s=0.08")
    _, found = with_best_base(world.place, recipe, world.data(recipe), Costs(None))
    assert found is not None
    assert len(found.trials) == 3
    assert [left.name for left in found.left_out] == ["scratch:bert 4x128", MINILM]
    assert sum(trial.wall_s for trial in found.trials) > 0.08
    assert not found.is_cut
    assert len(found.winner.points) == 2


def test_two_runs_do_not_both_choose_where_the_data_decide(
    files: Path, prefect_server: None, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = auto_recipe(world, PRAISE)
    decides = recipe.model_dump(mode="json", include=SEARCHED)
    asked = digest_of([world.data(recipe).data_key, decides])
    with lease(world.store, f"searches/{asked}"):
        assert world.run(recipe).outcome == "already_running"
