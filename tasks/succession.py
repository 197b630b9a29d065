"""Who is champion: pure folds of the ledger's entries, oldest first and without gaps."""

from collections.abc import Sequence

from records.ledger import Action, LedgerEntry

CROWNING: frozenset[Action] = frozenset({"promote", "override", "adopt"})
"""Actions that bring a new model to the throne; rollback brings an earlier one back."""


class LedgerError(ValueError):
    """The ledger refuses."""


class NoRollback(LedgerError):
    """There is nothing to go back to."""


def champion(entries: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """The entry that first brought the version which is live now; None: no model is live.

    After a rollback that is the restored version's own entry, with its decision and train key.
    """
    live: LedgerEntry | None = None
    for index, entry in enumerate(entries):
        if entry.action in CROWNING:
            live = entry
        elif entry.action == "rollback":
            live = _crowned(entries[:index], entry.model_digest) or entry
        elif entry.action == "retire":
            live = None
    return live


def anchor(entries: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """The best proven champion, against which small losses may not add up (DESIGN, gate rule 6).

    The last entry that was superior to the anchor before it, or a rebase; failing that the first
    champion. What was rolled back, retired or put in place by override does not count.
    """
    undone = _undone(entries)
    counting = [
        entry
        for entry in entries
        if entry.action in ("promote", "adopt", "rebase") and entry.sequence not in undone
    ]
    proven = [entry for entry in counting if entry.is_anchor or entry.action == "rebase"]
    return proven[-1] if proven else next(iter(counting), None)


def barred_digests(entries: Sequence[LedgerEntry]) -> frozenset[str]:
    """Models that a rollback took from the throne: they are not promoted again.

    Only a person's override lifts the bar.
    """
    barred: set[str] = set()
    for entry in entries:
        if entry.action == "rollback":
            barred.add(entry.replaces)
        elif entry.action == "override":
            barred.discard(entry.model_digest)
    return frozenset(barred - {""})


def is_held(entries: Sequence[LedgerEntry]) -> str:
    """Why nothing may be promoted now; empty: nothing is held.

    A rollback holds by itself: in a second entry the hold could be lost to a crash in between.
    """
    last = next((e for e in reversed(entries) if e.action in ("rollback", "hold", "release")), None)
    if last is None or last.action == "release":
        return ""
    return f"{last.action} (entry {last.sequence}) by {last.actor}: {last.reason or 'no reason'}"


def rollback_target(entries: Sequence[LedgerEntry], to_digest: str | None = None) -> LedgerEntry:
    """The champion to go back to: the model of that digest, or the latest earlier one not undone.

    Models are told apart by digest: a registry that was lost gives a number a second time.

    Raises:
        NoRollback: there is none, or the model was never champion, is champion now, or is barred by
            an earlier rollback.
    """
    live, barred = champion(entries), barred_digests(entries)
    if to_digest is not None:
        return _named_target(entries, to_digest, live, barred)
    before = live.sequence if live else len(entries) + 1
    undone = _undone(entries)
    for entry in reversed(entries[: before - 1]):
        is_open = entry.sequence not in undone and entry.model_digest not in barred
        if entry.action in CROWNING and is_open and not _is_live(entry, live):
            return entry
    raise NoRollback("there is no earlier champion to go back to; retire the model instead")


def crowned_versions(entries: Sequence[LedgerEntry], version: str) -> dict[str, LedgerEntry]:
    """The latest entry of each model that came to the throne under that number, by digest."""
    found = (e for e in entries if e.action in CROWNING and e.version == version)
    return {entry.model_digest: entry for entry in found}


def _crowned(entries: Sequence[LedgerEntry], model_digest: str) -> LedgerEntry | None:
    found = (e for e in reversed(entries) if e.action in CROWNING)
    return next((entry for entry in found if entry.model_digest == model_digest), None)


def _undone(entries: Sequence[LedgerEntry]) -> frozenset[int]:
    """Sequence numbers of the entries whose model a later rollback or retirement took down."""
    return frozenset(
        earlier.sequence
        for index, entry in enumerate(entries)
        if entry.action in ("rollback", "retire")
        for earlier in entries[:index]
        if earlier.model_digest == entry.replaces and earlier.action not in ("rollback", "retire")
    )


def _is_live(entry: LedgerEntry, live: LedgerEntry | None) -> bool:
    return live is not None and entry.model_digest == live.model_digest


def _named_target(
    entries: Sequence[LedgerEntry],
    model_digest: str,
    live: LedgerEntry | None,
    barred: frozenset[str],
) -> LedgerEntry:
    target = _crowned(entries, model_digest)
    if target is None:
        raise never_champion(entries, f"model {model_digest[:12]}")
    what = f"version {target.version!r} (model {model_digest[:12]})"
    if _is_live(target, live):
        raise NoRollback(f"{what} is champion now; name an earlier one")
    if model_digest in barred:
        raise NoRollback(f"{what} was itself rolled back; override if you must")
    return target


def never_champion(entries: Sequence[LedgerEntry], what: str) -> NoRollback:
    """The error for a model that was never champion; lists those that were."""
    crowned = {(e.version, e.model_digest[:12]) for e in entries if e.action in CROWNING}
    known = ", ".join(f"{version} ({digest})" for version, digest in sorted(crowned)) or "none"
    return NoRollback(f"{what} was never champion; earlier champions: {known}")
