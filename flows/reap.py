"""reap: a run whose process died without a word becomes Crashed; safe at any time, every minute."""

import logging

from prefect import flow
from prefect.runtime import flow_run

from tasks.reaper import SILENT_S, crash_dead_runs, wait_until_heard

log = logging.getLogger("refit")

REAP_S = 60.0
"""Between two looks, of a deployment."""
CRASHED_WITHIN_S = 240.0
"""From the death of a deployed run's process to Crashed, where a worker runs this flow in time."""
FLOWS = ("retrain", "rollback", "reconcile", "watch", "reap")
"""Other flows of the same server are none of our business."""


@flow(name="reap", flow_run_name="end runs whose process died")
def reap(silent_s: float = SILENT_S) -> list[str]:
    """Set runs to Crashed that the server has not heard while it heard this flow.

    A suspended run has no process and is left alone; a healthy one beats, whatever it computes.

    Args:
        silent_s: seconds of silence, before and again after a beat of this flow.

    Returns:
        Ids of the runs that are Crashed now.
    """
    log.setLevel(logging.INFO)
    if not wait_until_heard(str(flow_run.id)):
        log.warning("the server writes no heartbeats down, so nobody is taken for dead")
        return []
    dead = crash_dead_runs("reap", FLOWS, silent_s)
    log.info("%d runs had died", len(dead))
    return [str(run.id) for run in dead]
