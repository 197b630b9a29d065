"""Approval: after the gate has agreed, a person decides; a run in Prefect waits without a process."""

import logging
from collections.abc import Callable
from typing import Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from records.approval import Answer
from tasks import approval
from tasks.objects import Store
from tasks.orchestrator import is_over

log = logging.getLogger("refit")

GRACE_S = 7 * 86400
"""Prefect fails a run that nobody resumes; ours expires to refused a week before that."""


class Approval(RunInput):
    """No defaults on purpose: Prefect takes an empty form for a filled-in one."""

    decision: Literal["approve", "refuse"] = Field(title="Decision")
    approver: str = Field(
        title="Your name", description="Goes into the ledger.", min_length=2, max_length=100
    )
    reason: str = Field(
        title="Reason", description="Goes into the ledger.", min_length=3, max_length=500
    )


def approved(
    store: Store, name: str, decision_digest: str, hours: float, show: Callable[[], str]
) -> Answer | None:
    """The answer to a decision. In a deployment the run is suspended until there is one.

    One run waits at a time, whose form is the one to fill in: whoever comes to the same decision
    meanwhile neither waits nor asks again.

    Args:
        store: where asks and answers are kept.
        name: registered model.
        decision_digest: what is asked about.
        hours: until it counts as refused.
        show: publishes what a person must read before answering; returns it as Markdown.

    Returns:
        The answer; None where there is none yet and this run need or can not wait for it.
    """
    run_id = _own_run_id()
    before = approval.asked_before(store, name, run_id)
    if before is not None and before.decision_digest != decision_digest:
        return _too_late(before.decision_digest)
    asked = approval.ask(store, name, decision_digest, run_id, hours)
    if (given := approval.read_answer(store, asked)) is not None:
        return given
    if asked.flow_run_id not in ("", run_id) and not is_over(asked.flow_run_id):
        log.info("waits for approval already: the form is that of run %s", asked.flow_run_id)
        return None
    text = show() if before is None else ""
    if not run_id:
        log.info(
            "waits for approval: `refit approve %s --by NAME --reason ...`",
            asked.decision_digest[:12],
        )
        return None
    if asked.flow_run_id != run_id:
        approval.ask_instead(store, asked, run_id)
    # Raises in a run that asks, which ends its process; returns in a run that was resumed.
    form = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=text),
        timeout=int(hours * 3600 + GRACE_S),
        key=f"approval-{decision_digest[:12]}",
    )
    return approval.answer(
        store,
        name,
        decision_digest,
        is_approved=form.decision == "approve",
        approver=form.approver,
        reason=form.reason,
    )


def asked_over(store: Store, name: str) -> str:
    """Digest of the decision over which this very run was suspended; empty: over none."""
    before = approval.asked_before(store, name, _own_run_id())
    return before.decision_digest if before is not None else ""


def _own_run_id() -> str:
    """Of a run that can be suspended; empty in a terminal."""
    return str(flow_run.id or "") if deployment.id else ""


def _too_late(decision_digest: str) -> Answer:
    return Answer(
        decision_digest=decision_digest,
        is_approved=False,
        approver="",
        reason="the champion changed after approval was asked; judge the new decision instead",
        time="",
    )
