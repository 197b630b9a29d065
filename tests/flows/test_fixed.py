"""No parameter and no variable of a deployed run makes a promotion of what its gate refuses."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from flows import settings
from flows.deploy import deployments_of
from tests.deployed import carry_out, deployed, start
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

REFUSED = "gate.minimum=0.9999"
"""The rival is as good as the champion: by the world's own policy it would be promoted."""
WEAK = {"minimum": 0.0, "margin": 0.2, "min_items": 100}
SETTINGS = '"\ngate: {minimum: 0.0, margin: 0.2}\n"'
"""What a text holds that hopes to be read as settings."""
ASKED: tuple[dict[str, Any], ...] = (
    {"data": f"x.csv{SETTINGS}"},
    {"strategy": f"full{SETTINGS}"},
    {"reason": f"gate.minimum=0.0{SETTINGS}", "actor": f"gate.margin=0.2{SETTINGS}"},
    {"mode": "promote"},
    {"mode": "dry run"},
    {"mode": "evaluate only"},
)
"""Values for the fields of the form."""
VARIABLES = {
    "REFIT_HOME": "{tmp}/home",
    "REFIT_STORE": "{tmp}/store",
    "REFIT_S3_ENDPOINT_URL": "http://127.0.0.1:9",
    "REFIT_OUTAGE_S": "0",
    "REFIT_SERVE_PASSWORD": "gate.minimum=0.0",
    "REFIT_LISTEN_TOKEN": "gate.minimum=0.0",
    "REFIT_JUDGE_KEY": "gate.minimum=0.0",
    "REFIT_NOTIFY_URL": "http://127.0.0.1:9",
    "REFIT_ACTOR": "gate.minimum=0.0",
}
"""A value for each variable of flows/settings.py."""


def values(world: World, *overrides: str) -> dict[str, Any]:
    """A recipe as the server keeps it."""
    return world.recipe(RIVAL, *overrides).model_dump(mode="json", exclude_defaults=True)


def weakened(world: World) -> dict[str, Any]:
    """The recipe that is deployed, with another policy."""
    return {**values(world, REFUSED), "gate": WEAK}


def ended(run_id: UUID, world: World, **variables: str) -> tuple[str, str]:
    """How a run ends: the name of its state, and what it says."""
    state = carry_out(run_id, world, **variables).state
    assert state is not None
    return state.name or "", state.message or ""


@pytest.fixture(scope="module")
def refusing(promoted_world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, UUID]:
    """A world, and a deployment whose gate has refused the challenger of its recipe.

    The tests share them: none of their runs may change anything.
    """
    world = promoted_world.copy_to(tmp_path_factory.mktemp("refusing") / "home")
    deployment = deployed(world.recipe(RIVAL, REFUSED), environment="refusing")
    assert ended(start(deployment), world)[0] == "Refused"
    return world, deployment


def test_no_field_and_no_mode_of_the_form_turns_a_refusal_into_a_promotion(
    refusing: tuple[World, UUID],
) -> None:
    world, deployment = refusing
    throne = world.throne()
    form = next(deployments_of(world.recipe(), "test")).parameter_schema["properties"]
    other = {"data": str(world.files / "older.csv"), "strategy": "head"}
    asked = (*ASKED, {**other, "epochs": 1.0, "learning_rate": 0.002})
    assert {name for one in asked for name in one} == set(form)
    assert {one["mode"] for one in asked if "mode" in one} == set(form["mode"]["enum"])
    said = [ended(start(deployment, **one), world)[0] for one in asked]
    assert said == [
        "Failed",
        "Failed",
        "Unchanged",
        "Unchanged",
        "Unchanged",
        "Evaluated",
        "Refused",
    ]
    assert world.throne() == throne


def test_no_variable_turns_a_refusal_into_a_promotion(
    refusing: tuple[World, UUID], tmp_path: Path
) -> None:
    world, deployment = refusing
    throne = world.throne()
    assert set(VARIABLES) == set(re.findall(r"^\| (REFIT_\w+)", settings.__doc__ or "", re.M))
    said = {
        name: ended(start(deployment), world, **{name: value.format(tmp=tmp_path)})[0]
        for name, value in VARIABLES.items()
    }
    # The ledger there is empty, and so behind the mirror of the model's head.
    assert said.pop("REFIT_STORE") == "Failed"
    assert set(said.values()) == {"Unchanged"}
    assert world.throne() == throne


@pytest.mark.parametrize("way", ["asked for", "written over a run that waits"])
def test_a_run_that_states_another_gate_than_its_deployment_is_refused_and_does_nothing(
    refusing: tuple[World, UUID], way: str
) -> None:
    world, deployment = refusing
    throne, keys, runs = world.throne(), sorted(world.store.list()), len(world.runs())
    if way == "asked for":
        run_id = start(deployment, recipe=weakened(world))
    else:
        run_id = start(deployment)
        with get_client(sync_client=True) as client:
            client.update_flow_run(run_id, parameters={"recipe": weakened(world)})
    run = carry_out(run_id, world)
    assert run.state is not None
    assert (run.state.type, run.state.name) == (StateType.FAILED, "Failed")
    for words in (
        "'recipe' of this run is not what its deployment holds",
        "gate.minimum: 0.0, where the deployment holds 0.9999",
        "gate.margin: 0.2, where the deployment holds 0.05",
        "deployed anew",
    ):
        assert words in (run.state.message or "")
    assert world.throne() == throne
    assert sorted(world.store.list()) == keys
    assert len(world.runs()) == runs


def test_whatever_differs_in_a_recipe_is_refused(prefect_server: None, adopted: World) -> None:
    made = adopted.recipe("gate.approval=required")
    own, deployment = made.model_dump(mode="json", exclude_defaults=True), deployed(made)
    for change, place in (
        ({"gate": {**own["gate"], "approval": "none"}}, "gate.approval"),
        ({"gate": {**own["gate"], "approval_hours": 1000}}, "gate.approval_hours"),
        ({"model": "another"}, "model"),
        ({"split": {"salt": "luckier"}}, "split.salt"),
        ({"train": {**own["train"], "seed": 7}}, "train.seed"),
        ({"data": {**own["data"], "test": own["data"]["train"]}}, "data.test"),
        ({"description": "another"}, "description"),
    ):
        state, message = ended(start(deployment, recipe={**own, **change}), adopted)
        lines = [line for line in message.splitlines() if line.startswith("  - ")]
        assert (state, len(lines), f"  - {place}: " in message) == ("Failed", 1, True), message


def test_the_same_recipe_written_out_is_the_deployments_and_whoever_deploys_states_the_policy(
    refusing: tuple[World, UUID], tmp_path: Path
) -> None:
    world = refusing[0].copy_to(tmp_path / "home")
    deployment = deployed(world.recipe(RIVAL, REFUSED), environment="again")
    whole = world.recipe(RIVAL, REFUSED, "schedule={cron: '0 3 * * *'}").model_dump(mode="json")
    assert ended(start(deployment, recipe=whole), world)[0] == "Unchanged"
    made_before = start(deployment)
    assert deployed(world.recipe(RIVAL), environment="again") == deployment
    state, message = ended(made_before, world)
    assert (state, "gate.minimum: 0.9999, where" in message) == ("Failed", True)
    assert ended(start(deployment), world)[0] == "Promoted"
    decision = world.decision(world.entries[-1].decision_digest)
    assert decision.record.policy.minimum == 0.8


def test_a_deployed_rollback_is_of_its_own_model_only(prefect_server: None, adopted: World) -> None:
    throne = adopted.throne()
    other = deployed(adopted.recipe("name=other"), "rollback")
    state, message = ended(start(other, name=NAME, reason="complaints"), adopted)
    assert (state, "name: 'tiny', where the deployment holds 'other'" in message) == (
        "Failed",
        True,
    )
    assert adopted.throne() == throne


def test_a_deployed_look_is_at_its_own_data_only(prefect_server: None, adopted: World) -> None:
    made = adopted.recipe("watch={every_s: 60}")
    own = made.model_dump(mode="json", exclude_defaults=True)
    recipe = {**own, "data": {**own["data"], "train": str(adopted.files / "noisy.csv")}}
    state, message = ended(start(deployed(made, "watch"), recipe=recipe), adopted)
    assert (state, "data.train: " in message) == ("Failed", True)
