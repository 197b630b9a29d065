"""Ends runs whose process died without a word: Prefect's open-source server leaves them Running.

A run beats: its process sends an event every `BEAT_S`. Silence alone proves nothing, for the server
may have been away, and then nobody was heard. So silence counts between two beats of the reaper's
own: a run is dead if it missed a beat before the reaper was heard, and another until the reaper was
heard again. All times are those at which the server received a beat: no two clocks are compared.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventRelatedFilter,
    EventResourceFilter,
)
from prefect.states import Crashed

log = logging.getLogger("refit")

SILENT_S = 45.0
"""Silence before and again after the reaper was heard, of a run that beats every BEAT_S."""
DEFAULT_BEAT_S = 180.0
"""Prefect's own, of runs that refit neither started nor deployed."""
SEEN = timedelta(hours=1)
"""How far back beats are looked for; whoever was silent for longer has none."""
BEAT = "prefect.flow-run.heartbeat"
BATCH = 200


class Suspect(NamedTuple):
    """A run that Prefect takes for running, and when the server last heard its beats, latest first."""

    run: FlowRun
    beats: tuple[datetime, ...]

    @property
    def last_sign(self) -> datetime:
        """Of life: a beat, or the state itself where it is younger, as after a suspension."""
        assert self.run.state is not None
        return max((self.run.state.timestamp, *self.beats[:1]))

    def patience(self, silent_s: float) -> timedelta:
        """Silence that this run may keep before the reaper's first beat."""
        beats_fast = any(a - b < timedelta(seconds=silent_s) for a, b in pairwise(self.beats))
        is_set_by_refit = self.run.deployment_id is not None
        return timedelta(
            seconds=silent_s if is_set_by_refit or beats_fast else 2 * DEFAULT_BEAT_S + silent_s
        )


def crash_dead_runs(own_flow: str, flows: Sequence[str], silent_s: float) -> list[FlowRun]:
    """Crash the runs of `flows` that were not heard while runs of `own_flow` were.

    Whatever is suspended, paused or scheduled has no process and is left alone, and so is a run
    that changed its state meanwhile. Call it from a run of `own_flow`, again and again.
    """
    with get_client(sync_client=True) as client:
        running = runs_in(client, flows, StateType.RUNNING)
        first = heard_before(client, own_flow, silent_s)
        if first is None:
            return []
        suspects = [Suspect(run, _beats(client, run_id=run.id)) for run in running]
        dead = [s for s in suspects if s.last_sign + s.patience(silent_s) < first]
        return [suspect.run for suspect in dead if _crash(client, suspect)]


def crash_left_tasks(flows: Sequence[str]) -> int:
    """Crash what crashed runs left Running, whoever found that they died; returns how many."""
    running = filters.TaskRunFilterStateType(any_=[StateType.RUNNING])
    crashed = filters.FlowRunFilterStateType(any_=[StateType.CRASHED])
    with get_client(sync_client=True) as client:
        left = client.read_task_runs(
            flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=list(flows))),
            flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=crashed)),
            task_run_filter=filters.TaskRunFilter(state=filters.TaskRunFilterState(type=running)),
            limit=BATCH,
        )
        for task in left:
            message = "Its run is crashed."
            client.set_task_run_state(task.id, Crashed(message=message), force=True)
    return len(left)


def wait_until_heard(run_id: str, limit_s: float = 30.0) -> bool:
    """Whether the server has received a beat of this run; it writes them down every few seconds."""
    deadline = time.monotonic() + limit_s
    with get_client(sync_client=True) as client:
        while not _beats(client, run_id=UUID(run_id)):
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
    return True


def heard_before(client: SyncPrefectClient, own_flow: str, silent_s: float) -> datetime | None:
    """When the reaper was heard, so long before it was heard last; None: it was not."""
    beats = _beats(client, flow_id=_flow_id(client, own_flow))
    before = [beat for beat in beats if beats[0] - beat >= timedelta(seconds=silent_s)]
    return before[0] if before else None


def runs_in(
    client: SyncPrefectClient, flows: Sequence[str], state_type: StateType
) -> list[FlowRun]:
    """Runs of those flows that are in a state of that type now."""
    state = filters.FlowRunFilterStateType(any_=[state_type])
    found = client.read_flow_runs(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=list(flows))),
        flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=state)),
        limit=BATCH,
    )
    return [run for run in found if run.state is not None]


def _flow_id(client: SyncPrefectClient, name: str) -> UUID:
    return client.read_flow_by_name(name).id


def _beats(
    client: SyncPrefectClient, *, run_id: UUID | None = None, flow_id: UUID | None = None
) -> tuple[datetime, ...]:
    """When the server received beats of a run, or of any run of a flow; the latest first."""
    now = datetime.now().astimezone()
    wanted = EventFilter(
        occurred=EventOccurredFilter(since=now - SEEN, until=now + SEEN),
        event=EventNameFilter(name=[BEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]) if run_id else None,
        related=EventRelatedFilter(id=[f"prefect.flow.{flow_id}"]) if flow_id else None,
    )
    page = client.read_events(wanted, limit=20)
    return tuple(sorted((event.received for event in page.events), reverse=True))


def _crash(client: SyncPrefectClient, suspect: Suspect) -> bool:
    """Set the run to Crashed; False where it went on or ended.

    Not by force: the server itself refuses where the run ended or was suspended meanwhile.
    """
    run, assumed = suspect.run, suspect.run.state
    now = client.read_flow_run(run.id)
    if now.state is None or assumed is None or now.state.id != assumed.id:
        return False
    message = (
        f"Its process died: no heartbeat since {suspect.last_sign:%Y-%m-%d %H:%M:%S} UTC. "
        "Run it again: it goes on from what is stored."
    )
    client.set_flow_run_state(run.id, Crashed(message=message))
    if client.read_flow_run(run.id).state_type != StateType.CRASHED:
        return False
    log.warning("%s (%s) is crashed: %s", run.name, run.id, message)
    return True
