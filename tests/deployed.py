"""Runs of deployments, carried out here as a worker's process would: by the run's id, from the server."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Pending

from flows.deploy import deploy
from flows.pools import ensure_pool
from flows.recipe import Recipe
from tests.world import World

POOL = "deployed"


def deployed(recipe: Recipe, flow: str = "retrain", environment: str = "") -> UUID:
    """The id of that flow's deployment of the recipe, as `refit deploy` makes it.

    A new one, or the one of the environment that is named.
    """
    environment = environment or uuid4().hex[:8]
    ensure_pool(POOL)
    deploy(recipe, pool=POOL, environment=environment)
    with get_client(sync_client=True) as client:
        found: UUID = client.read_deployment_by_name(f"{flow}/{recipe.name}-{environment}").id
    return found


def start(deployment: UUID, **parameters: Any) -> UUID:
    """A run of it that nobody has begun, as anybody asks for one who knows Prefect's API.

    The form's schema is left out, as the one who asks may say.
    """
    body = {"parameters": parameters, "enforce_parameter_schema": False}
    with get_client(sync_client=True) as client:
        answer = client.request(
            "POST", "/deployments/{id}/create_flow_run", path_params={"id": deployment}, json=body
        )
    return UUID(answer.raise_for_status().json()["id"])


def carry_out(run_id: UUID, world: World, **variables: str) -> FlowRun:
    """Begin or go on with a run beside the world's store and registry; the run as it then stands."""
    own = {
        "REFIT_HOME": str(world.home),
        "REFIT_STORE": world.place.store_uri,
        "MLFLOW_TRACKING_URI": world.place.tracking_uri,
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        get_client(sync_client=True) as client,
    ):
        for name, value in {**own, **variables}.items():
            patch.setenv(name, value)
        client.set_flow_run_state(run_id, Pending())
        run = client.read_flow_run(run_id)
        entrypoint = client.read_deployment(run.deployment_id).entrypoint
        with suppress(Pause):  # it is suspended, and its process ends
            run_flow(load_flow_from_entrypoint(entrypoint), flow_run=run, return_type="state")
        return client.read_flow_run(run_id)
