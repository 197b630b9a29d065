"""watch: looks at a recipe's data; news emit an event, which starts `retrain`."""

import logging

from prefect import flow
from prefect.states import Completed

from flows.form import RecipeValues
from flows.recipe import parse_recipe
from flows.schedule import WatchConfig
from flows.settings import load_place
from tasks.ingest import ingest
from tasks.watch import announce

log = logging.getLogger("refit")

SAID = {
    "new": "New data: a run is started",
    "arriving": "The data changed; announced once it stands still for two looks",
    "too few": "Too few new rows",
    "none": "Nothing new",
}


@flow(name="watch", flow_run_name="look for new data of {recipe[name]}")
def watch(recipe: RecipeValues) -> str:
    """Read the recipe's data as `retrain` would, and announce it if it is new."""
    log.setLevel(logging.INFO)
    parsed, place = parse_recipe(recipe), load_place()
    config = parsed.watch or WatchConfig()
    news = announce(
        place, parsed.name, ingest(place, parsed.data, parsed.task), config.min_new_rows
    )
    name = {"new": "New data", "none": "Nothing new"}.get(news, "Waiting")
    return Completed(name=name, message=SAID[news], data=news)  # type: ignore[return-value]
