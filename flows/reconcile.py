"""reconcile: make every alias say what its ledger says; safe at any time, every minute for example."""

import logging

from prefect import flow

from flows.settings import load_place
from tasks.ledger import LedgerError, known_ledgers
from tasks.reconcile import reconcile

log = logging.getLogger("refit")


class ReconcileFailed(LedgerError):
    """Some models could not be reconciled; the message lists them all."""


@flow(name="reconcile")
def reconcile_all(names: list[str] | None = None) -> dict[str, str]:
    """Reconcile alias, mirror and ledger of each model.

    Args:
        names: registered models; none: all that have a ledger.

    Returns:
        The champion's version by model; empty where there is none.

    Raises:
        ReconcileFailed: naming every model that a person must look at; the others were done.
    """
    place = load_place()
    versions: dict[str, str] = {}
    problems: list[str] = []
    for name in names or known_ledgers(place.open()):
        try:
            versions[name] = reconcile(place, name)
        except LedgerError as exc:
            log.error("%s", exc)
            problems.append(str(exc))
    if problems:
        raise ReconcileFailed("\n".join(problems))
    return versions
