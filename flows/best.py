"""What is found out before the challenger is trained: its base, then its settings."""

from flows.costs import Costs
from flows.recipe import Recipe
from records.data import DataRef
from records.search import SearchResult
from tasks.choice import choose_base
from tasks.place import Place
from tasks.search import search_settings, tuned
from tasks.train import train_key


def with_best_base(
    place: Place, recipe: Recipe, data: DataRef, costs: Costs
) -> tuple[Recipe, SearchResult | None]:
    """The recipe with the best of its candidates as its base, and how it was chosen."""
    if not recipe.base.candidates:
        return recipe, None
    with costs.step("choose"):
        found = choose_base(
            place, recipe.registered_name, data, recipe.base, recipe.train, costs.allowance()
        )
    return recipe.model_copy(update={"base": recipe.base.candidates[found.best]}), found


def with_best_settings(
    place: Place, recipe: Recipe, data: DataRef, base: str, costs: Costs
) -> tuple[Recipe, SearchResult | None]:
    """The recipe with the settings that its search found over `base`, and how they were found."""
    if recipe.search is None:
        return recipe, None
    key = train_key(data, base, recipe.train)
    with costs.step("search"):
        found = search_settings(
            place,
            recipe.registered_name,
            data,
            recipe.base,
            recipe.train,
            recipe.search,
            key,
            costs.allowance(),
        )
    return recipe.model_copy(update={"train": tuned(recipe.train, found)}), found
