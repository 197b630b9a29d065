"""What is found out before the challenger is trained: its base, then its settings."""

from flows.costs import Costs
from flows.recipe import Recipe
from models.offer import Offer
from records.data import DataRef
from records.search import SearchResult
from tasks.choice import choose_base, offer_bases
from tasks.place import Place
from tasks.search import search_settings, tuned
from tasks.train import train_key


def with_best_base(
    place: Place, recipe: Recipe, data: DataRef, costs: Costs
) -> tuple[Recipe, SearchResult | None]:
    """The recipe with the best of its candidates as its base, and how it was chosen."""
    base, offer = recipe.base, Offer(options=recipe.base.candidates)
    if not base.is_auto:
        return recipe, None
    with costs.step("choose"):
        if not base.candidates:
            offer = offer_bases(place, data, base, recipe.train)
            # The offer has counted what the budget pays for; a clock would choose by the machine.
            base = base.model_copy(update={"candidates": offer.options, "budget_s": None})
        found = choose_base(
            place, recipe.registered_name, data, base, recipe.train, costs.allowance()
        )
    told = {"left_out": offer.left_out, "offered_for": offer.reason}
    best = recipe.model_copy(update={"base": offer.options[found.best]})
    return best, found.model_copy(update=told)


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
