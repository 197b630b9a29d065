"""What the Prefect server says of a run, and the reaper that looks until it is Crashed."""

import time
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun

from flows.reap import reap

SILENT_TEST_S = 6.0
LOOK_TEST_S = 3.0


def run_of(run_id: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


def tasks_of(run_id: UUID) -> list[TaskRun]:
    with get_client(sync_client=True) as client:
        own = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        return client.read_task_runs(flow_run_filter=own)


def name_of(run_id: UUID) -> str:
    state = run_of(run_id).state
    assert state is not None
    return state.name or ""


def look_until_crashed(run_id: UUID, limit_s: float, pending_s: float = 900.0) -> float:
    """Seconds of looking, every LOOK_TEST_S, until the run is Crashed."""
    begun = time.monotonic()
    while run_of(run_id).state_name != "Crashed":
        assert time.monotonic() - begun < limit_s, f"still {name_of(run_id)} after {limit_s} s"
        reap(SILENT_TEST_S, pending_s)
        time.sleep(LOOK_TEST_S)
    return time.monotonic() - begun
