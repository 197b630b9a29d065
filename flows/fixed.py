"""What a deployment fixes: a run that asks for something else is refused before anything is done.

A run's parameters are a merged copy of its deployment's, and whoever may start a run may write over
each of them through Prefect's API, whatever the form shows. So the deployment itself is asked.
"""

from collections.abc import Iterator
from typing import Any

from flows.recipe import parse_recipe
from tasks.orchestrator import deployment_parameters

OCCASIONS = frozenset({"schedule", "watch", "live", "notify"})
"""When a run starts and who is told of it: deployed anew, what already runs may end."""
MEND = (
    "leave it out of the run's parameters. What is to change is deployed anew (`refit deploy`); a run "
    "that was made before that is refused too: start another"
)


class NotAsDeployed(ValueError):
    """A run asks for what its deployment does not hold; the message lists every difference."""

    def __init__(self, parameter: str, problems: Iterator[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(
            f"{parameter!r} of this run is not what its deployment holds:\n{lines}\n{MEND}"
        )


def fixed_recipe(given: dict[str, Any]) -> dict[str, Any]:
    """The values of the recipe to follow: a deployment's own, or those given where there is none.

    Raises:
        NotAsDeployed: the run belongs to a deployment, and what it was given means another recipe.
        RecipeError: one of the two is none.
    """
    held = deployment_parameters()
    if held is None:
        return given
    own: dict[str, Any] = held.get("recipe") or {}
    if given == own:
        return own
    asked, deployed = (
        parse_recipe(values, origin=origin).model_dump(mode="json", exclude=set(OCCASIONS))
        for values, origin in ((given, "the run's recipe"), (own, "the deployment's recipe"))
    )
    if asked != deployed:
        raise NotAsDeployed("recipe", _differences(asked, deployed))
    return own


def check_fixed(**given: object) -> None:
    """Raise NotAsDeployed where a deployment holds another value of one of these parameters."""
    held = deployment_parameters()
    for name, value in given.items():
        if held is not None and held.get(name) != value:
            raise NotAsDeployed(name, _differences({name: value}, held))


def _differences(asked: dict[str, Any], held: dict[str, Any], place: str = "") -> Iterator[str]:
    """`field: asked, where the deployment holds ...` of what was asked for otherwise."""
    for name, value in asked.items():
        own = held.get(name)
        if isinstance(value, dict) and isinstance(own, dict) and value.keys() == own.keys():
            yield from _differences(value, own, f"{place}{name}.")
        elif value != own:
            yield f"{place}{name}: {value!r:.100}, where the deployment holds {own!r:.100}"
