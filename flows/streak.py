"""A row of refusals is told as one: each may have its good reason, all of them mean a stale model."""

import logging

from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from flows.schedule import NotifyConfig
from tasks.orchestrator import REFUSALS, refusals_in_a_row, state_name

log = logging.getLogger("refit")

EVENT = "refit.refused-in-a-row"


def tell_streak(config: NotifyConfig, recipe: str, outcome: str) -> None:
    """Emit the event where this run of a deployment completes another row of refusals.

    Args:
        config: says how many make a row.
        recipe: its name.
        outcome: of the run that is about to end.
    """
    run_id, deployment_id = flow_run.id, deployment.id
    is_refusal = state_name(outcome) in REFUSALS
    if not is_refusal or not run_id or not deployment_id:
        return
    try:
        num_refused = 1 + refusals_in_a_row(str(deployment_id))
    except Exception as exc:  # what is to be told of a run must not fail it
        log.warning("the row of refusals could not be counted: %s", exc)
        return
    if num_refused % config.refused_in_a_row == 0:
        said = f"no promotion in {num_refused} decisions, all refused"
        log.warning("%s: %s", recipe, said)
        emit_event(
            event=EVENT,
            resource={
                "prefect.resource.id": f"prefect.flow-run.{run_id}",
                "prefect.resource.name": f"retrain {recipe}",
                "prefect.state-name": "Refused in a row",
                "prefect.state-message": said,
            },
            related=[
                {
                    "prefect.resource.id": f"prefect.deployment.{deployment_id}",
                    "prefect.resource.role": "deployment",
                }
            ],
        )
