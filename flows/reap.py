"""reap: a run whose process or worker died without a word becomes Crashed; safe at any time."""

import logging

from prefect import flow
from prefect.runtime import flow_run

from tasks.reaper import SILENT_S, crash_dead_runs, crash_left_tasks, wait_until_heard
from tasks.stranded import PENDING_S, crash_stranded_runs

log = logging.getLogger("refit")

REAP_S = 60.0
"""Between two looks, of a deployment."""
CRASHED_WITHIN_S = 240.0
"""From the death of a deployed run's process to Crashed, where a worker runs this flow in time."""
STRANDED_WITHIN_S = 1200.0
"""From Pending to Crashed, of a run whose worker died before it began."""
FLOWS = ("retrain", "rollback", "reconcile", "watch", "reap")
"""Other flows of the same server are none of our business."""
REPEATED = ("retrain",)
"""Started again if nobody began them. The others are due again within minutes, but for rollback:
done twice, it goes back twice."""


@flow(name="reap", flow_run_name="end runs whose process died")
def reap(silent_s: float = SILENT_S, pending_s: float = PENDING_S) -> list[str]:
    """Set runs to Crashed that the server has not heard while it heard this flow.

    A suspended run has no process and is left alone; a healthy one beats, whatever it computes.

    Args:
        silent_s: seconds of silence, before and again after a beat of this flow.
        pending_s: seconds after which nobody begins a run any more that a worker has taken.

    Returns:
        Ids of the runs that are Crashed now.
    """
    log.setLevel(logging.INFO)
    if not wait_until_heard(str(flow_run.id)):
        log.warning("the server writes no heartbeats down, so nobody is taken for dead")
        return []
    dead = crash_dead_runs("reap", FLOWS, silent_s)
    stranded = crash_stranded_runs("reap", FLOWS, REPEATED, silent_s=silent_s, pending_s=pending_s)
    crash_left_tasks(FLOWS)
    log.info("%d runs had died, %d were never begun", len(dead), len(stranded))
    return [str(run.id) for run in (*dead, *stranded)]
