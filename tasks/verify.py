"""Verify: walk the store, check every byte against its sha256, and say how each damage is mended.

What can be computed again is set aside, so that a rerun makes it anew. The ledger never is.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from records.base import Record
from tasks.decide import DecisionError, decision_path, read_decision
from tasks.ledger import LedgerCorrupt, history, verify
from tasks.objects import Store
from tasks.payload import MANIFEST, find_damage
from tasks.publish import read_document
from tasks.stamped import is_bare, stamp_problem
from tasks.trash import copy_to_trash

PAYLOADS = ("snapshots", "data", "bases", "models", "checkpoints")
STAMPED = ("trains", "scores", "costs", "evaluations", "judgements", "registered")
STAMPED_LATER = ("approvals", "searches")
"""Of these, older versions wrote records without a stamp, which nothing can check."""
ASKED = "`refit verify --set-aside`, then run the recipe again: the person is asked again"
AGAIN = "`refit verify --set-aside`, then run the recipe again: it is made anew"
COPY = "restore it from a copy of the store; it cannot be computed again"
FROM_REPORT = "`refit verify --set-aside` takes it from its report"


class Damage(Record):
    """One damaged object."""

    key: str
    what: str
    mend: str
    unit: str
    """What goes aside with it; empty: it stays where it is."""


def find_all_damage(store: Store, scratch: Path) -> Iterator[Damage]:
    """Everything that does not hold, in the order of the keys.

    Args:
        store: walked as a whole.
        scratch: folder for copies of remote objects, one at a time.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for key in store.list():
        keys[key.split("/")[0]].append(key)
    names = sorted({key.split("/")[1] for key in keys["ledger"]})
    live = {uri for name in names for uri in _live_models(store, name)}
    for top in PAYLOADS:
        for key in keys[top]:
            if key.endswith(f"/{MANIFEST}"):
                yield from _payload_damage(store, key.removesuffix(f"/{MANIFEST}"), live, scratch)
    stamped = (key for top in (*STAMPED, *STAMPED_LATER) for key in keys[top])
    for key in (*stamped, *keys["decisions"]):
        yield from _record_damage(store, key)
    for name in names:
        yield from _ledger_damage(store, name)


def set_aside(store: Store, damage: Damage, now: datetime, scratch: Path) -> bool:
    """Move what is damaged to the trash, or restore it where that can be done; whether it was."""
    if not damage.unit:
        return False
    if damage.unit.startswith("decisions/") and damage.unit.endswith("/decision.json"):
        return _restore_decision(store, damage.unit)
    keys = [damage.unit] if store.exists(damage.unit) else list(store.list(damage.unit))
    copy_to_trash(store, keys, now, scratch)
    for key in sorted(keys, key=lambda key: not key.endswith(f"/{MANIFEST}")):
        store.delete(key)
    return True


def _live_models(store: Store, name: str) -> set[str]:
    try:
        return {entry.model_uri for entry in history(store, name) if entry.model_uri}
    except LedgerCorrupt:
        return set()


def _payload_damage(store: Store, prefix: str, live: set[str], scratch: Path) -> Iterator[Damage]:
    is_live = prefix in live
    for key, what in find_damage(store, prefix, scratch):
        yield Damage(
            key=key,
            what=what,
            mend=f"{COPY}: it is or was a champion" if is_live else AGAIN,
            unit="" if is_live else prefix,
        )


def _record_damage(store: Store, key: str) -> Iterator[Damage]:
    parts = key.split("/")
    damaged = partial(Damage, key=key, unit=key)
    if parts[0] != "decisions" or parts[2] == "index":
        content = store.read(key)
        if parts[0] in STAMPED_LATER and is_bare(content):
            return
        if (problem := stamp_problem(content)) is not None:
            yield damaged(what=problem, mend=ASKED if parts[0] == "approvals" else AGAIN)
        return
    try:
        read_decision(store, parts[1], parts[2])
    except DecisionError as exc:
        if read_document(store, parts[1], parts[2]) is not None:
            yield damaged(what=str(exc), mend=FROM_REPORT)
        else:
            yield Damage(key=key, what=str(exc), mend=COPY, unit="")


def _ledger_damage(store: Store, name: str) -> Iterator[Damage]:
    problems = verify(store, name)
    for problem in problems:
        yield Damage(key=f"ledger/{name}", what=problem, mend=COPY, unit="")
    for entry in () if problems else history(store, name):
        at = f"ledger/{name}/{entry.sequence:012d}.json"
        if entry.model_uri and not store.exists(f"{entry.model_uri}/{MANIFEST}"):
            yield Damage(key=entry.model_uri, what=f"is gone; {at} names it", mend=COPY, unit="")
        decision = decision_path(name, entry.decision_digest)
        if entry.decision_digest and not store.exists(decision):
            has_copy = read_document(store, name, entry.decision_digest) is not None
            yield Damage(
                key=decision,
                what=f"is gone; {at} names it",
                mend=FROM_REPORT if has_copy else COPY,
                unit=decision if has_copy else "",
            )


def _restore_decision(store: Store, key: str) -> bool:
    _, name, digest, _ = key.split("/")
    document = read_document(store, name, digest)
    if document is None:
        return False
    store.write(key, document.file.to_json())
    return True
