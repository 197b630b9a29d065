"""What is known about the Prefect server in use, and what runs on it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

REFUSALS = ("Refused", "Data refused", "Declined")
"""Names under which runs end that refused."""
CROWDED = "Deployment concurrency limit reached."
"""What Prefect says of a run that it cancelled because another one went on."""
BEAT_S = 30
"""Between two beats of a run: the least that Prefect allows; every run of refit is told of it."""


def state_name(outcome: str) -> str:
    """The name under which a run with that outcome ends in Prefect."""
    return outcome.replace("_", " ").capitalize()


class NoServer(ValueError):
    """What was asked needs a Prefect server that stays."""


class SeenRun(NamedTuple):
    """A flow run as the server tells it."""

    run_id: str
    flow: str
    name: str
    state: str
    """E.g. Running, Promoted, Crashed."""
    is_over: bool
    message: str
    started: datetime | None
    doing: tuple[str, ...]
    """Names of its tasks that run now."""


def api_url() -> str:
    """Address of the Prefect server in use; empty for a temporary one."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url or ""


def describe_api() -> str:
    """Where Prefect runs; raises where a named server does not answer.

    Raises:
        ConnectionError: PREFECT_API_URL names a server that is not healthy.
    """
    from prefect.client.orchestration import get_client

    url = api_url()
    if not url:
        return "a temporary server in this process (PREFECT_API_URL is not set)"
    with get_client(sync_client=True) as client:
        if (problem := client.api_healthcheck()) is not None:
            raise ConnectionError(f"{url} does not answer: {problem}")
    return f"{url} answers"


def require_server() -> None:
    """Raise NoServer unless PREFECT_API_URL, or a profile of Prefect's, names a server."""
    if not api_url():
        raise NoServer("no Prefect server is named; set PREFECT_API_URL, or start `refit up`")


def deployment_parameters() -> dict[str, Any] | None:
    """What the deployment of the run that goes on here holds; None: the run belongs to none.

    By the run itself: what `prefect.runtime` says can be set from outside, by variables.

    Raises:
        ObjectNotFound: the deployment is gone.
    """
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return None
    with get_client(sync_client=True) as client:
        return client.read_deployment(run.deployment_id).parameters


def recent_runs(most: int = 8) -> tuple[SeenRun, ...]:
    """The latest runs that have left the schedule, oldest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    waiting = filters.FlowRunFilterStateType(not_any_=[StateType.SCHEDULED])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(
                state=filters.FlowRunFilterState(type=waiting),
                parent_flow_run_id=None,
            ),
            sort=FlowRunSort.START_TIME_DESC,
            limit=most,
        )
        running = [run.id for run in runs if run.state and run.state.is_running()]
        tasks = client.read_task_runs(
            flow_run_filter=filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=running)),
            task_run_filter=filters.TaskRunFilter(
                state=filters.TaskRunFilterState(
                    type=filters.TaskRunFilterStateType(any_=[StateType.RUNNING])
                )
            ),
        ) if running else []  # fmt: skip
        flows = {flow.id: flow.name for flow in client.read_flows()}
    return tuple(
        SeenRun(
            run_id=str(run.id),
            flow=flows.get(run.flow_id, ""),
            name=run.name,
            state=run.state.name or run.state.type.value.capitalize() if run.state else "",
            is_over=bool(run.state and run.state.is_final()),
            message=(run.state.message or "") if run.state else "",
            started=run.start_time,
            doing=tuple(task.name for task in tasks if task.flow_run_id == run.id),
        )
        for run in reversed(runs)
    )


def suspended_runs(flow: str) -> frozenset[str]:
    """Ids of the flow's runs that wait for a person."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    paused = filters.FlowRunFilterStateType(any_=[StateType.PAUSED])
    own = filters.FlowFilter(name=filters.FlowFilterName(any_=[flow]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=own,
            flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=paused)),
        )
    return frozenset(str(run.id) for run in runs)


def move_suspended_run(run_id: str, state: "State[Any]") -> bool:
    """Put a run that is suspended into that state; False: it was not suspended."""
    from prefect.client.orchestration import get_client

    if (now := _state_of(run_id)) is None or not now.is_paused():
        return False
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run_id), state, force=True)
    return True


def is_over(run_id: str) -> bool:
    """Whether a run has ended, or is none that this server knows."""
    return (state := _state_of(run_id)) is None or state.is_final()


def _state_of(run_id: str) -> "State[Any] | None":
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            return client.read_flow_run(UUID(run_id)).state
        except ObjectNotFound:
            return None


def send_event(event: str, resource_id: str, resource_name: str, payload: dict[str, Any]) -> None:
    """Give the server an event; returns when it has it.

    Prefect's own `emit_event` hands it to a thread and never says that it was lost.

    Raises:
        NoServer: no server is named.
        ConnectionError: it does not answer, or refuses.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.events import Event

    require_server()
    resource = {"prefect.resource.id": resource_id, "prefect.resource.name": resource_name}
    body = Event.model_validate({"event": event, "resource": resource, "payload": payload})
    try:
        with get_client(sync_client=True) as client:
            answer = client.request("POST", "/events", json=[body.model_dump(mode="json")])
            answer.raise_for_status()
    except HTTPError as exc:
        raise ConnectionError(f"Prefect did not take the event {event}: {exc}") from exc


def was_crowded_out(flow: str, tag: str) -> bool:
    """Whether the latest run of a flow with that tag was cancelled for one that has ended since.

    By the server's own word for it: whom a person cancelled stays cancelled. False without a server.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    if not api_url():
        return False
    tags = filters.FlowRunFilterTags(all_=[tag])
    active = filters.FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    own = filters.FlowFilter(name=filters.FlowFilterName(any_=[flow]))
    with get_client(sync_client=True) as client:
        latest = client.read_flow_runs(
            flow_filter=own,
            flow_run_filter=filters.FlowRunFilter(
                tags=tags,
                expected_start_time=filters.FlowRunFilterExpectedStartTime(
                    before_=datetime.now(UTC)
                ),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=1,
        )
        state = latest[0].state if latest else None
        if state is None or not state.is_cancelled() or state.message != CROWDED:
            return False
        return not client.read_flow_runs(
            flow_filter=own,
            flow_run_filter=filters.FlowRunFilter(
                tags=tags, state=filters.FlowRunFilterState(type=active)
            ),
            limit=1,
        )


def refusals_in_a_row(deployment_id: str, most: int = 200) -> int:
    """Ended runs of a deployment that refused, from the latest back to its latest promotion.

    Runs that decided nothing (unchanged, held, dry, evaluated) neither count nor end the row.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    completed = filters.FlowRunFilterStateType(any_=[StateType.COMPLETED])
    own = filters.DeploymentFilterId(any_=[UUID(deployment_id)])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=completed)),
            deployment_filter=filters.DeploymentFilter(id=own),
            sort=FlowRunSort.END_TIME_DESC,
            limit=most,
        )
    names = [run.state.name for run in runs if run.state]
    row = names[: names.index("Promoted")] if "Promoted" in names else names
    return sum(name in REFUSALS for name in row)
