"""Exit codes, and what an exception means to the person at the terminal."""

import traceback
from enum import IntEnum

from models.errors import TrainingInterrupted
from records.address import without_userinfo

FULL = ("No space left on device", "Disk quota exceeded", "database or disk is full")
ROOMS = frozenset({"records", "models", "data_checks", "report", "tasks", "flows", "deployments"})


CREDENTIALS = {
    "mlflow": ("MLflow", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
    "prefect": ("Prefect", "PREFECT_API_AUTH_STRING (name:password)"),
}
"""Package of an exception: its server, and the variables by which one is let in."""


class UsageError(ValueError):
    """What was asked for cannot be done with these arguments or files."""


class Exit(IntEnum):
    """Exit codes of `refit run`; see DESIGN, "Exit codes"."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    REFUSED = 3
    DATA_REFUSED = 4
    WAITING = 5
    ALREADY_RUNNING = 6

    @classmethod
    def of_outcome(cls, outcome: str) -> "Exit":
        """The code of an Outcome of records/document.py."""
        return {
            "promoted": cls.DONE,
            "unchanged": cls.DONE,
            "would_promote": cls.DONE,
            "evaluated": cls.DONE,
            "refused": cls.REFUSED,
            "data_refused": cls.DATA_REFUSED,
            "declined": cls.REFUSED,
            "held": cls.WAITING,
            "already_running": cls.ALREADY_RUNNING,
            "waiting": cls.WAITING,
        }[outcome]


def explain_exception(exc: BaseException) -> tuple[str, Exit]:
    """One clear message and the exit code: our own ValueErrors are the user's to mend, all else a fault.

    Of our own, those that a store, a ledger or another run brings about are faults as well.
    """
    from tasks.retries import explain, may_pass

    said = without_userinfo(explain(exc))
    if isinstance(exc, TrainingInterrupted) or _is_state(exc):
        return said, Exit.FAULT
    if not_let_in := _not_let_in(exc):
        return not_let_in, Exit.USAGE
    if (full := _full_disk(exc)) is not None:
        again = "free space, then run the same command again: it goes on from what is stored"
        return f"{without_userinfo(full)}\nThe disk is full: {again}.", Exit.FAULT
    if may_pass(exc):
        return f"{said}\nThis may pass: run the same command again.", Exit.FAULT
    if isinstance(exc, ValueError) and type(exc).__module__.partition(".")[0] in ROOMS:
        return said, Exit.USAGE
    where = traceback.extract_tb(exc.__traceback__)[-1:]
    place = f" at {where[0].filename}:{where[0].lineno}" if where else ""
    return (
        f"{type(exc).__name__}: {said}\nThis is a fault{place}; run again, and report it if it stays.",
        Exit.FAULT,
    )


def _not_let_in(exc: BaseException) -> str:
    """What to check where MLflow or Prefect answered 401 or 403; empty: they did not."""
    from tasks.retries import http_status

    service = type(exc).__module__.partition(".")[0]
    status = http_status(exc)
    if status not in (401, 403) or service not in CREDENTIALS:
        return ""
    server, variables = CREDENTIALS[service]
    return f"{server} answered {status}; check {variables}, and what its user may do"


def _full_disk(exc: BaseException) -> str | None:
    """What was written when a disk was full, by whoever wrote: os, SQLite, safetensors, Arrow."""
    found: BaseException | None = exc
    while found is not None:
        if any(words in str(found) for words in FULL):
            return str(found).partition("\n")[0]
        found = found.__cause__ or found.__context__
    return None


def _is_state(exc: BaseException) -> bool:
    """Whether the store or the ledger is to blame, or another run that came first: no input is."""
    from tasks.ledger import AliasBehind, ChampionChanged, EntryRefused, LedgerCorrupt
    from tasks.objects import CorruptObject

    states = (AliasBehind, ChampionChanged, CorruptObject, EntryRefused, LedgerCorrupt)
    return isinstance(exc, states)
