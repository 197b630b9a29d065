"""reconcile: make every alias say what its ledger says; safe at any time, every minute for example."""

import logging

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Scheduled

from flows.settings import load_place
from records.approval import Answer, Ask
from tasks.approval import asks
from tasks.decide import read_decision
from tasks.ledger import LedgerError, history, known_ledgers
from tasks.objects import Store
from tasks.orchestrator import move_suspended_run, suspended_runs
from tasks.place import Place
from tasks.reconcile import reconcile
from tasks.retries import patience

log = logging.getLogger("refit")


class ReconcileFailed(LedgerError):
    """Some models could not be reconciled; the message lists them all."""


@flow(name="reconcile", flow_run_name="reconcile all aliases")
def reconcile_all(names: list[str] | None = None) -> dict[str, str]:
    """Mend the alias and mirror of each model, and see to runs whose approval was answered.

    Args:
        names: registered models; none: all that have a ledger.

    Returns:
        The champion's version by model; empty where there is none.

    Raises:
        ReconcileFailed: naming every model that a person must look at; the others were done.
    """
    log.setLevel(logging.INFO)
    place = load_place()
    versions: dict[str, str] = {}
    problems: list[str] = []
    with patience(place.outage_s):
        settle(place)
        for name in names or known_ledgers(place.open()):
            try:
                versions[name] = reconcile(place, name)
            except LedgerError as exc:
                log.error("%s", exc)
                problems.append(str(exc))
    if problems:
        raise ReconcileFailed("\n".join(problems))
    log.info("%d aliases agree with their ledgers", len(versions))
    return versions


def settle(place: Place) -> None:
    """Refuse what nobody answered in time, and see to the runs that wait for an answer that is there."""
    store = place.open()
    answered = [(asked, given) for asked, given in asks(store) if given and asked.flow_run_id]
    waiting = suspended_runs("retrain") if answered else frozenset()
    for asked, given in answered:
        if asked.flow_run_id in waiting:
            try:
                move_suspended_run(asked.flow_run_id, state_after(store, asked, given))
            except LedgerError as exc:
                log.error("%s", exc)


def state_after(store: Store, asked: Ask, given: Answer) -> State:
    """What becomes of a run that is suspended over something that was answered elsewhere.

    By `refit approve`, or by the clock. What was approved goes on as by its own form: rows may have
    come, and another run would judge those instead.
    """
    if not given.is_approved:
        return Completed(name="Declined", message=given.reason)
    record = read_decision(store, asked.name, asked.decision_digest).record
    if record.ledger_sequence == len(history(store, asked.name)):
        return Scheduled(name="Resuming", message=f"approved by {given.approver}")
    return Completed(name="Unchanged", message=f"approved by {given.approver}; the ledger went on")
