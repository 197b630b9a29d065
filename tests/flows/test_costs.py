"""What steps cost, what a budget may say, and that older records still are what they were."""

import json

import pytest

from deployments.exits import Exit, explain_exception
from flows.costs import Costs
from flows.recipe import RecipeError, parse_recipe
from models.errors import OverBudget
from records.base import canonical_json
from records.cost import Budget, Spent, StepCost
from records.document import DecisionDocument
from report.cost import cost, cost_sentence
from tests.report.documents import Case, build

OLD = b'{"cpu_s":1.5,"peak_memory_bytes":7,"step":"train","wall_s":2.0}'
RECIPE = {"name": "x", "data": {"source": "a.csv"}, "gate": {"minimum": 0.5}}


def test_step_cost_of_an_older_refit_is_read_and_written_as_it_was() -> None:
    old = StepCost.from_json(OLD)
    assert old.to_json() == OLD
    assert (old.num_tokens, old.gpu_s, old.energy_wh, old.energy_method) == (0, 0, 0, "")


def test_document_of_an_older_refit_keeps_its_bytes_and_its_page() -> None:
    document = build(Case())
    train = document.train
    assert not {"spent", "spent_before", "strategy", "num_tokens"} & set(train.model_dump())
    content = document.to_json()
    assert "energy" not in content.decode()
    again = DecisionDocument.from_json(content)
    assert again.to_json() == content == canonical_json(json.loads(content))
    page = str(cost(again))
    assert "Energy" not in page
    assert "GPU" not in page
    assert "All steps" in page


def test_the_total_holds_what_earlier_runs_took_of_a_training() -> None:
    document = build(Case())
    method = "estimate: processor seconds x 12 W"
    spent = Spent(wall_s=100, cpu_s=180, num_tokens=9000, energy_wh=0.6, energy_method=method)
    part = spent.times(0.25)
    made = StepCost(step="train", peak_memory_bytes=1, **spent.times(0.75).model_dump())
    train = document.train.model_copy(update={"spent": spent, "spent_before": part})
    document = document.model_copy(update={"train": train, "costs": (made,)})
    assert document.earlier == part
    assert document.total == spent
    found = document.model_copy(update={"costs": (StepCost.from_json(OLD),)})
    assert found.earlier == spent
    assert found.total.num_tokens == 9000
    page = str(cost(document))
    for said in ("6,750", "0.45 Wh", "in earlier runs", f"0.6 Wh ({method})"):
        assert said in page
    assert cost_sentence(spent) == (
        f"1 min 40 s, 3 min 00 s of processor, 9,000 tokens, 0.6 Wh ({method})"
    )


def test_a_run_over_its_budget_stops_at_the_border_of_a_step_but_reports() -> None:
    costs = Costs(Budget(wall_s=1e-9))
    with costs.step("ingest"):
        pass
    with (
        pytest.raises(OverBudget, match=r"before the step 'check'.*goes on from there") as caught,
        costs.step("check"),
    ):
        raise AssertionError("it began")
    with costs.step("report", may_stop=False):
        pass
    assert [step.step for step in costs.steps()] == ["ingest", "report"]
    message, code = explain_exception(caught.value)
    assert "budget.wall_s=1e-09" in message
    assert code is Exit.USAGE


def test_a_budget_limits_something_and_lets_a_cut_come_first() -> None:
    with pytest.raises(RecipeError, match=r"budget: limits nothing; give one of wall_s, cpu_s"):
        parse_recipe({**RECIPE, "budget": {}})
    with pytest.raises(RecipeError, match=r"budget\.token: unknown key; did you mean 'tokens'"):
        parse_recipe({**RECIPE, "budget": {"token": 5}})
    with pytest.raises(
        RecipeError, match=r"budget\.wall_s: 60 ends the run before train\.budget_s"
    ):
        parse_recipe({**RECIPE, "budget": {"wall_s": 60}, "train": {"budget_s": 60}})
    assert "budget" not in parse_recipe(RECIPE).model_dump(), "older recipes keep their digests"
