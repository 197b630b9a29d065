"""watch: looks at a recipe's data; news emit an event, which starts `retrain`."""

import logging

from prefect import flow
from prefect.states import Completed

from flows.fixed import fixed_recipe
from flows.form import RecipeValues
from flows.recipe import Recipe, parse_recipe
from flows.schedule import WatchConfig
from flows.settings import load_place
from tasks.ingest import ingest
from tasks.place import Place
from tasks.retries import patience
from tasks.watch import News, announce, announce_again, look

log = logging.getLogger("refit")

SAID: dict[News, str] = {
    "new": "New data: a run is started",
    "arriving": "Files are still arriving; the next look reads them",
    "too few": "Too few new rows",
    "none": "Nothing new",
}


@flow(name="watch", flow_run_name="look for new data of {recipe[name]}")
def watch(recipe: RecipeValues) -> str:
    """Read the recipe's data as `retrain` would, where it changed, and announce what is new."""
    log.setLevel(logging.INFO)
    place = load_place()
    with patience(place.outage_s):
        news = find_news(place, parse_recipe(fixed_recipe(recipe)))
    name = {"new": "New data", "none": "Nothing new"}.get(news, "Waiting")
    return Completed(name=name, message=SAID[news], data=news)  # type: ignore[return-value]


def find_news(place: Place, recipe: Recipe) -> News:
    """One look; see tasks/watch.py."""
    config = recipe.watch or WatchConfig()
    marks, state = look(place, recipe.name, recipe.data, config.min_new_rows, config.settle_s)
    if state == "none" and announce_again(place, recipe.name):
        return "new"
    if state != "changed":
        return state
    snapshot = ingest(place, recipe.data, recipe.task)
    return announce(place, recipe.name, snapshot, marks, config.min_new_rows)
