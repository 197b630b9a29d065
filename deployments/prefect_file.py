"""Writes deployments/prefect.yaml from the bundled recipes: `python -m deployments.prefect_file`."""

import sys
from pathlib import Path
from typing import Any

import yaml

from deployments.up import load_recipes
from flows.deploy import VARIABLES, Deployment, deployments_of, services_of
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
# Run it from the checkout: runs of the pool refit-local start in that folder; those of refit-docker and
# refit-kubernetes find the code in their image, and their pools are to be there (docs/guides/prefect.md).
# `refit deploy RECIPES --pool NAME` does the same and more, for which this format has no place: the
# form's titles, help, bounds and the recipe's own values; automations, so that `watch:` starts runs;
# notifications; and the pool itself, with one training at once.
"""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)


def prefect_file() -> str:
    """The whole file."""
    recipes = load_recipes([RECIPES])
    shared: dict[str, Any] = {}  # one object, so that YAML writes a recipe once
    entries = [_entry(d, env, shared) for env in POOLS for d in _deployments(recipes, env)]
    document = {"name": "refit", "deployments": entries}
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=None,
    )  # fmt: skip
    return HEAD + text


def _deployments(recipes: list[Recipe], environment: str) -> list[Deployment]:
    own = [d for recipe in recipes for d in deployments_of(recipe, environment)]
    return [*own, *services_of(environment)]


def _entry(deployment: Deployment, environment: str, shared: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(deployment.parameters)
    if "recipe" in parameters:  # what else the form shows is the recipe's own
        recipe = parameters["recipe"]
        parameters = {"recipe": shared.setdefault(recipe["name"], recipe)}
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": list(deployment.tags),
        "concurrency_limit": {
            "limit": deployment.num_at_once,
            "collision_strategy": deployment.collision.value,
        },
        "parameters": parameters,
        "schedules": _schedules(deployment.schedule),
        # Unsaid, Prefect would send a run to the folder where it was deployed, or to /opt/prefect.
        **({"pull": []} if "image" in POOLS[environment] else {}),
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
