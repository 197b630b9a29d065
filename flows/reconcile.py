"""reconcile: make every alias say what its ledger says; safe at any time, every minute for example."""

import logging

from prefect import flow

from flows.settings import load_place
from tasks.approval import asks
from tasks.ledger import LedgerError, known_ledgers
from tasks.orchestrator import end_suspended_run
from tasks.place import Place
from tasks.reconcile import reconcile
from tasks.retries import patience

log = logging.getLogger("refit")


class ReconcileFailed(LedgerError):
    """Some models could not be reconciled; the message lists them all."""


@flow(name="reconcile", flow_run_name="reconcile all aliases")
def reconcile_all(names: list[str] | None = None) -> dict[str, str]:
    """Mend the alias and mirror of each model, and end runs whose approval has expired.

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
        expire(place)
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


def expire(place: Place) -> None:
    """Refuse what nobody answered in time, and end the runs that wait for it."""
    for asked, given in asks(place.open()):
        if given is None or given.approver or not asked.flow_run_id:
            continue
        end_suspended_run(asked.flow_run_id, "Declined", given.reason)
