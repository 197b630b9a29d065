"""Writes deployments/prefect.yaml from the bundled recipes: `python -m deployments.prefect_file`."""

import sys
from pathlib import Path
from typing import Any

import yaml

from deployments.up import load_recipes
from flows.deploy import COLLISION, VARIABLES, Deployment, deployments_of, services_of
from flows.recipe import Recipe
from flows.schedule import ScheduleConfig

FILE = Path(__file__).with_name("prefect.yaml")
RECIPES = Path(__file__).with_name("recipes")
IMAGE = "refit:0.1.0"
POOLS: dict[str, dict[str, Any]] = {
    "local": {},
    "docker": {"image": IMAGE, "image_pull_policy": "Never"},
    "kubernetes": {"image": IMAGE, "namespace": "refit", "finished_job_ttl": 3600},
}
"""Environment: job variables of its work pool `refit-<environment>`."""
HEAD = """\
# Written by `python -m deployments.prefect_file`; change the recipes, not this file.
#   prefect --no-prompt deploy --prefect-file deployments/prefect.yaml --name reviews-local
# `refit deploy RECIPES --pool NAME` does the same, and gives the form titles, help and the
# recipe's own values, for which this format has no place. Run both from the checkout.
"""


def prefect_file() -> str:
    """The whole file."""
    recipes = load_recipes([RECIPES])
    shared: dict[str, Any] = {}  # one object, so that YAML writes a recipe once
    entries = [_entry(d, env, shared) for env in POOLS for d in _deployments(recipes, env)]
    document = {"name": "refit", "pull": None, "deployments": entries}
    return HEAD + yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )


def _deployments(recipes: list[Recipe], environment: str) -> list[Deployment]:
    own = [d for recipe in recipes for d in deployments_of(recipe, environment)]
    return [*own, *services_of(environment)]


def _entry(deployment: Deployment, environment: str, shared: dict[str, Any]) -> dict[str, Any]:
    function, parameters = deployment.flow.fn, dict(deployment.parameters)
    if "recipe" in parameters:  # what else the form shows is the recipe's own
        recipe = parameters["recipe"]
        parameters = {"recipe": shared.setdefault(recipe["name"], recipe)}
    return {
        "name": deployment.name,
        "entrypoint": f"{function.__module__.replace('.', '/')}.py:{function.__name__}",
        "description": deployment.description.split("\n")[0],
        "tags": list(deployment.tags),
        "concurrency_limit": {
            "limit": deployment.num_at_once,
            "collision_strategy": COLLISION.value,
        },
        "parameters": parameters,
        "schedules": _schedules(deployment.schedule),
        "work_pool": {
            "name": f"refit-{environment}",
            **({"work_queue_name": deployment.queue} if deployment.queue else {}),
            "job_variables": {"env": dict(VARIABLES), **POOLS[environment]},
        },
    }


def _schedules(config: ScheduleConfig | None) -> list[dict[str, Any]]:
    if config is None:
        return []
    values = {"cron": config.cron, "interval": config.every_s, "rrule": config.rrule}
    chosen = {name: value for name, value in values.items() if value is not None}
    return [{**chosen, "timezone": config.timezone, "active": config.is_active}]


if __name__ == "__main__":
    FILE.write_text(prefect_file(), "utf-8")
    sys.stdout.write(f"{FILE}\n")
