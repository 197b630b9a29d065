"""Ends runs that a worker took and never began: it died between Pending and Running.

Prefect hands a run to one worker, once, and does not ask what became of it. Such a run has done
nothing, so another one is started in its place. That one is a run of its own: the process of the
first may only be slow, and two processes in one run could not tell whose state it is. If both come
to work, they are two runs of one recipe: the lease lets one of them train, the ledger one promote.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed, Scheduled

from tasks.reaper import heard_before, runs_in

log = logging.getLogger("refit")

PENDING_S = 900.0
"""Pending for so long is never begun: pulling a large image, or importing torch, takes minutes."""
AGAIN_S = 30.0
"""Until the other run is due: beyond what workers fetch ahead, since the first still holds its slot."""
AGAIN = "again"
"""Tag of the other run. It has no further one: whoever dies of it would die every time."""


def crash_stranded_runs(
    own_flow: str,
    flows: Sequence[str],
    repeated: Sequence[str],
    *,
    silent_s: float,
    pending_s: float,
) -> list[FlowRun]:
    """Crash runs that have been Pending for too long, and start others in their place.

    Whatever waits for a worker, a slot, a time or a person is scheduled or paused, and left alone.
    As with silence, time counts until the reaper was heard, and was heard again later.

    Args:
        own_flow: the reaper's.
        flows: whose runs are looked at.
        repeated: those of them that may be started again.
        silent_s: seconds between two beats of the reaper.
        pending_s: seconds of Pending.

    Returns:
        The runs that are Crashed now.
    """
    with get_client(sync_client=True) as client:
        first = heard_before(client, own_flow, silent_s)
        if first is None:
            return []
        may_be_repeated = {run.id for run in runs_in(client, repeated, StateType.PENDING)}
        latest = first - timedelta(seconds=pending_s)
        return [
            run
            for run in runs_in(client, flows, StateType.PENDING)
            if run.state is not None
            and run.state.timestamp < latest
            and _end(client, run, is_repeated=run.id in may_be_repeated and _has_done_nothing(run))
        ]


def _end(client: SyncPrefectClient, run: FlowRun, *, is_repeated: bool) -> bool:
    """Set the run to Crashed, and start another; False where it has gone on.

    The other one first: whoever dies in between finds it by its key the next time.
    """
    now = client.read_flow_run(run.id)
    if run.state is None or now.state is None or now.state.id != run.state.id:
        return False
    other = _again(client, run) if is_repeated else None
    then = "Another run was started in its place." if other else "Run it again."
    message = f"The worker that took it died before it began. {then}"
    client.set_flow_run_state(run.id, Crashed(message=message))
    if client.read_flow_run(run.id).state_type != StateType.CRASHED:
        if other is not None:
            client.delete_flow_run(other.id)  # it began in this very moment
        return False
    log.warning("%s (%s) is crashed: %s", run.name, run.id, message)
    return True


def _has_done_nothing(run: FlowRun) -> bool:
    """Whether it is deployed, never ran, and is not itself there in place of another."""
    return run.deployment_id is not None and run.start_time is None and AGAIN not in run.tags


def _again(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    """A run of the same deployment with the same parameters; the same one if asked twice."""
    assert run.deployment_id is not None
    due = datetime.now(UTC) + timedelta(seconds=AGAIN_S)
    return client.create_flow_run_from_deployment(
        run.deployment_id,
        parameters=run.parameters,
        state=Scheduled(scheduled_time=due),
        tags=[*run.tags, AGAIN],
        idempotency_key=f"again-{run.id}",
        job_variables=run.job_variables,
    )
