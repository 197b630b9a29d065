"""The judge of a recipe, where it names one, between evaluation and decision."""

from flows.costs import Costs
from flows.recipe import Recipe
from flows.settings import judge_key as own_key
from records.data import DataRef
from tasks.judge import ask_judge, check_judge, judge_key
from tasks.place import Place


def try_judge(recipe: Recipe) -> None:
    """Find out before any row is read that the judge cannot be asked; raises JudgeError."""
    if recipe.gate.judge is not None:
        with judge_key(own_key()):
            check_judge(recipe.gate.judge)


def judged(
    place: Place, recipe: Recipe, data: DataRef, evaluation: str, costs: Costs
) -> tuple[str, ...]:
    """Keys of what the judge said of the evaluated answers; none where no judge is wanted."""
    if recipe.gate.judge is None:
        return ()
    with costs.step("judge"), judge_key(own_key()):
        return ask_judge(place, data, evaluation, recipe.gate.judge)
