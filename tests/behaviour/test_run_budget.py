"""`budget:` in the flow: refused before it trains, stopped while it does, continued to the same bytes."""

import pytest

from deployments.exits import Exit, explain_exception
from models.errors import OverBudget
from records.cost import Budget, Spent
from records.document import DecisionDocument, TrainResult
from tasks import budget as budget_room
from tasks.budget import Allowance
from tasks.rapl import Rapl
from tasks.train import read_result, train_challenger
from tests.tasks.test_budget import PerToken
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def key_of(world: World, *overrides: str) -> str:
    recipe = world.recipe(*overrides)
    return world.train_key(recipe, world.data(recipe))


def train(world: World, *overrides: str, **limits: float) -> TrainResult:
    """Train under a budget, as the flow does."""
    recipe = world.recipe(*overrides)
    allowance = Allowance(budget=Budget(**limits), before=Spent(), start=budget_room.meter().read())
    return train_challenger.fn(
        world.place, NAME, world.data(recipe), recipe.base, recipe.train,
        key_of(world, *overrides), allowance,
    )  # fmt: skip


def test_a_run_that_would_exceed_ends_before_it_trains_and_one_with_more_goes_on(
    adopted: World, prefect_server: None
) -> None:
    throne, key = adopted.throne(), key_of(adopted)
    assert key_of(adopted, "budget={tokens: 100, wall_s: 9}") == key, "a budget is no part of it"
    with pytest.raises(
        OverBudget, match=r"tokens against budget\.tokens=100 .*nothing was"
    ) as caught:
        adopted.run(adopted.recipe("budget.tokens=100"))
    assert explain_exception(caught.value)[1] is Exit.USAGE
    assert adopted.throne() == throne
    assert adopted.index == ()
    assert read_result(adopted.store, key) is None
    assert not list(adopted.store.list(f"checkpoints/{key}"))

    result = adopted.run(adopted.recipe("budget={tokens: 1000000, wall_s: 36000}"))
    assert result.outcome == "promoted", result.summary
    file = adopted.path(f"reports/{NAME}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    assert document.train.train_key == key
    assert document.total.num_tokens == document.train.num_tokens > 0
    assert document.total.energy_wh > 0
    run = next(r for r in adopted.runs() if r.info.run_id == document.train.mlflow_run_id)
    assert run.data.metrics["cost_num_tokens"] == document.train.num_tokens
    assert run.data.metrics["cost_energy_wh"] == document.total.energy_wh
    assert run.data.tags["refit.energy_method"] == document.total.energy_method

    # The next training like it is foreseen by this one's speed.
    assert document.train.spent is not None
    with pytest.raises(OverBudget, match="by the speed of the last training like this one"):
        train(adopted, RIVAL, wall_s=0.9 * document.train.spent.wall_s)


def test_a_stopped_training_goes_on_to_the_digest_of_one_never_stopped(
    adopted: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adopted.copy_to(tmp_path_factory.mktemp("whole") / "home").train(adopted.recipe())
    thirsty = PerToken(Rapl(adopted.home / "no counters"))
    monkeypatch.setattr(budget_room, "meter", lambda: thirsty)
    key, total_wh = key_of(adopted), whole.num_tokens / 1000
    with pytest.raises(OverBudget, match=r"has taken .* Wh against budget\.energy_wh=.* is kept"):
        train(adopted, energy_wh=0.1 * total_wh)
    assert read_result(adopted.store, key) is None
    with pytest.raises(OverBudget, match="the whole run would take"):  # earlier runs count
        train(adopted, energy_wh=0.1 * total_wh)
    with pytest.raises(OverBudget, match=r"by the speed of 20 of its steps"):
        train(adopted, energy_wh=0.9 * total_wh)
    done = train(adopted, energy_wh=1.1 * total_wh)
    assert done.model_digest == whole.model_digest
    assert not done.is_cut
    assert done.num_tokens == whole.num_tokens
    assert done.spent is not None
    assert done.spent_before is not None
    assert done.spent.num_tokens == whole.num_tokens, "no token was counted twice, or lost"
    assert 0.1 * total_wh < done.spent_before.energy_wh < 0.9 * total_wh
