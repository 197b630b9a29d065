"""A run whose worker died before it began is not left Pending; whatever else waits is left alone.

On a real Prefect server. The reaper's beats are sent by hand, seconds apart, and its patience is
short accordingly.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import Event, RelatedResource, Resource
from prefect.states import Late, Paused, Pending, Running, Scheduled, Suspended

from deployments.local.stack import Stack
from flows.deploy import deploy
from flows.pools import ensure_pool
from flows.reap import CRASHED_WITHIN_S, FLOWS, REPEATED, STRANDED_WITHIN_S
from flows.recipe import parse_recipe
from tasks.reaper import BEAT, heard_before, runs_in
from tasks.stranded import AGAIN, PENDING_S, crash_stranded_runs
from tests.client_of import client_of

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

SILENT_TEST_S = 0.5
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def connected(real_stack: Stack) -> Iterator[None]:
    with client_of(real_stack.environment()):
        ensure_pool("nobody")
        yield


@pytest.fixture(autouse=True)
def nobody_is_left(connected: None) -> Iterator[None]:
    """What one test left Pending is not there for the next one."""
    yield
    with get_client(sync_client=True) as client:
        for run in runs_in(client, FLOWS, StateType.PENDING):
            client.delete_flow_run(run.id)


@pytest.fixture
def deployment(connected: None) -> UUID:
    """A retrain deployment of its own, which no worker serves."""
    return deployed(f"stranded-{uuid4().hex[:8]}")


def deployed(name: str, kind: str = "retrain") -> UUID:
    values = {"name": name, "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8}}
    deploy(parse_recipe(values), pool="nobody", environment="test")
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"{kind}/{name}-test").id


def run_in(deployment: UUID, *states: State, **asked: object) -> UUID:  # type: ignore[type-arg]
    """A run that entered those states, as workers and people would make it."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, **asked)  # type: ignore[arg-type]
        for state in states:
            client.set_flow_run_state(run.id, state, force=not state.is_pending())
    return run.id


def state_of(run_id: UUID) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state_name or ""


def runs_of(deployment: UUID) -> list[FlowRun]:
    """All runs of it, the first one first."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        )
    return sorted(runs, key=lambda run: str(run.created))


def reaped(pending_s: float = 0.0) -> set[UUID]:
    """Let the reaper be heard twice from now on, then look: the runs that it ended."""
    own = f"reap-{uuid4().hex[:8]}"  # a reaper of this look alone
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(own)
        for _ in range(2):
            beat(flow_id)
            time.sleep(2 * SILENT_TEST_S)
        deadline = time.monotonic() + LIMIT_S
        while heard_before(client, own, SILENT_TEST_S) is None:
            assert time.monotonic() < deadline, "the server does not write beats down"
            time.sleep(0.2)
    limits = {"silent_s": SILENT_TEST_S, "pending_s": pending_s}
    return {run.id for run in crash_stranded_runs(own, FLOWS, REPEATED, **limits)}


def beat(flow_id: UUID) -> None:
    """One beat of a run of that flow, as Prefect's engine sends it."""
    event = Event(
        event=BEAT,
        resource=Resource({"prefect.resource.id": f"prefect.flow-run.{uuid4()}"}),
        related=[
            RelatedResource(
                {"prefect.resource.id": f"prefect.flow.{flow_id}", "prefect.resource.role": "flow"}
            )
        ],
    )
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()


def test_a_run_that_nobody_began_is_crashed_and_one_other_is_started_in_its_place(
    deployment: UUID,
) -> None:
    first = run_in(deployment, Pending(), parameters={"epochs": 7, "reason": "one more"})
    assert state_of(run_in(deployment, Pending())) == "Cancelled", "the first holds the only slot"
    assert reaped() == {first}
    assert reaped() == set()
    gone, _, other = runs_of(deployment)
    assert (gone.id, gone.state_name) == (first, "Crashed")
    assert gone.state is not None
    assert "died before it began. Another run was started" in str(gone.state.message)
    assert other.state_name == "Scheduled"
    assert other.parameters == gone.parameters
    assert other.parameters["epochs"] == 7
    assert set(other.tags) == {*gone.tags, AGAIN}
    with get_client(sync_client=True) as client:  # a worker takes it: the slot is free again
        client.set_flow_run_state(other.id, Pending())
    assert state_of(other.id) == "Pending"


def test_the_other_run_is_not_started_a_third_time(deployment: UUID) -> None:
    other = run_in(deployment, Pending(), tags=[AGAIN])
    assert reaped() == {other}
    (only,) = runs_of(deployment)
    assert only.state is not None
    assert (only.state.name, only.state.message) == (
        "Crashed", "The worker that took it died before it began. Run it again.",
    )  # fmt: skip


def test_a_rollback_is_never_done_twice(connected: None) -> None:
    deployment = deployed(f"back-{uuid4().hex[:8]}", "rollback")
    run = run_in(deployment, Pending(), parameters={"reason": "complaints"})
    assert reaped() == {run}
    assert [one.state_name for one in runs_of(deployment)] == ["Crashed"]


def test_a_run_that_had_begun_and_waited_for_a_person_is_crashed_alone(deployment: UUID) -> None:
    """What it had done is known under its own id."""
    run = run_in(deployment, Pending(), Running(), Suspended(timeout_seconds=600))
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run)
        client.set_flow_run_state(run, Pending())
    assert reaped() == {run}
    assert [one.state_name for one in runs_of(deployment)] == ["Crashed"]


def test_whoever_waits_for_a_worker_a_slot_a_time_or_a_person_is_left_alone(
    connected: None,
) -> None:
    now = datetime.now(UTC)
    waiting: dict[str, list[State]] = {  # type: ignore[type-arg]
        "Scheduled": [],
        "Late": [Late(scheduled_time=now - timedelta(hours=9))],
        "AwaitingConcurrencySlot": [Scheduled(name="AwaitingConcurrencySlot")],
        "Suspended": [Pending(), Running(), Suspended(timeout_seconds=600)],
        "Paused": [Pending(), Running(), Paused(timeout_seconds=600)],
        "Running": [Pending(), Running()],
    }
    runs = {
        name: run_in(deployed(f"waits-{uuid4().hex[:8]}"), *states)
        for name, states in waiting.items()
    }
    taken = run_in(deployed(f"taken-{uuid4().hex[:8]}"), Pending())
    another_team = flow(lambda: None, name="another-team")
    with get_client(sync_client=True) as client:
        foreign = client.create_flow_run(another_team, state=Pending()).id
    assert reaped() == {taken}
    assert {name: state_of(run) for name, run in runs.items()} == {name: name for name in runs}
    assert state_of(foreign) == "Pending"


def test_a_run_has_its_time_to_begin(deployment: UUID) -> None:
    run_in(deployment, Pending())
    assert reaped(pending_s=60.0) == set()
    assert [one.state_name for one in runs_of(deployment)] == ["Pending"]


def test_the_stated_time_is_what_the_settings_add_up_to() -> None:
    assert PENDING_S + CRASHED_WITHIN_S <= STRANDED_WITHIN_S
