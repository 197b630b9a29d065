"""Garbage: what no ledger entry and no pin needs, in two marks seven days apart; trash first.

A unit is what is made and used together: a snapshot, the splits of a data key, a base, the
checkpoints of a train key, a model with its scores, costs, judgements and results. Roots are all that the
ledgers name: every champion, so that anchor and rollback targets are among them, with the data that
it was decided on. Ledgers, decisions, reports, names and locks are never garbage.

A unit goes in this order: copied to the trash, manifests removed, the rest removed, pins read
again; where there is one, all comes back. A writer pins before it looks. If it looked before the
manifest went, its pin is seen. If it looked after, it writes everything anew; what gc took from
under it comes back, as it is the same bytes, and what it wrote after that look nobody takes. Who
opens a rediscovered unit in just these seconds is told that it is incomplete; a rerun finds it.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from records.base import Record
from records.document import TrainResult
from records.evaluation import Evaluation
from tasks.approval import asks
from tasks.decide import read_decision
from tasks.lease import lease
from tasks.ledger import history, known_ledgers
from tasks.objects import CorruptObject, MissingObject, Store
from tasks.payload import MANIFEST
from tasks.pins import is_old, is_pinned
from tasks.stamped import read_stamped, write_stamped
from tasks.trash import copy_object, copy_to_trash, expired

log = logging.getLogger("refit")

GRACE_DAYS = 7
MARKS = "gc/marks.json"


class Marks(Record):
    """Since when each unit has been without a use, RFC 3339."""

    first_seen: dict[str, str] = {}


class Fate(Record):
    """What happens to one unit that nothing needs."""

    unit: str
    num_objects: int
    first_seen: str
    is_due: bool
    """Whether it was marked for the first time long enough ago."""
    is_removed: bool = False


def find_garbage(store: Store, now: datetime) -> tuple[list[Fate], dict[str, list[str]]]:
    """Units that nothing needs now, and their keys; only reads.

    Raises:
        LedgerCorrupt, DecisionError: what must be kept cannot be known.
    """
    units = _units(store)
    needed = _needed(store)
    marks = _read_marks(store).first_seen
    fates = []
    for unit, keys in sorted(units.items()):
        if unit in needed or is_pinned(store, unit, now):
            continue
        first_seen = marks.get(unit, now.isoformat(timespec="seconds"))
        is_due = now - datetime.fromisoformat(first_seen) >= timedelta(days=GRACE_DAYS)
        fates.append(Fate(unit=unit, num_objects=len(keys), first_seen=first_seen, is_due=is_due))
    return fates, units


def collect(store: Store, now: datetime, scratch: Path) -> list[Fate]:
    """Mark what nothing needs, and remove what was marked long enough ago.

    Raises:
        AlreadyRunning: another process collects.
        LedgerCorrupt, DecisionError: what must be kept cannot be known; nothing was changed.
    """
    with lease(store, "gc"):
        fates, units = find_garbage(store, now)
        done = [
            fate.model_copy(update={"is_removed": _remove(store, fate.unit, units, now, scratch)})
            if fate.is_due
            else fate
            for fate in fates
        ]
        first_seen = {fate.unit: fate.first_seen for fate in done if not fate.is_removed}
        write_stamped(store, MARKS, Marks(first_seen=first_seen))
        for key in expired(store, now):
            store.delete(key)
        for key in [key for key in store.list("pins") if is_old(key, now)]:
            store.delete(key)
    return done


def _units(store: Store) -> dict[str, list[str]]:
    """Keys by unit; ledgers, decisions and the like are in none."""
    units: dict[str, list[str]] = defaultdict(list)
    for key in store.list():
        for unit in _unit_of(store, key):
            units[unit].append(key)
    return units


def _unit_of(store: Store, key: str) -> Iterator[str]:
    top, *rest = key.split("/")
    if top in ("snapshots", "data", "bases", "models", "checkpoints"):
        yield f"{top}/{rest[0]}"
    elif top in ("scores", "costs", "outputs", "judgements"):
        yield f"models/{rest[0]}"
    elif top in ("trains", "evaluations"):
        try:
            yield f"models/{_model_of(store, key)}"
        except CorruptObject:
            return  # `refit verify` says so
        except MissingObject:
            return


def _model_of(store: Store, key: str) -> str:
    if key.startswith("trains/"):
        return read_stamped(store, key, TrainResult).model_digest
    challenger = read_stamped(store, key, Evaluation).card("challenger")
    return challenger.model_digest if challenger else "none"


def _needed(store: Store) -> set[str]:
    needed: set[str] = set()
    for name in known_ledgers(store):
        for entry in history(store, name):
            if entry.model_uri:
                needed.add(entry.model_uri)
            if entry.decision_digest:
                record = read_decision(store, name, entry.decision_digest).record
                needed |= {f"data/{record.data_key}", f"snapshots/{record.data_digest}"}
    for asked, given in asks(store):
        if given is None:  # a person may still approve
            record = read_decision(store, asked.name, asked.decision_digest).record
            needed |= {
                f"models/{record.challenger.model_digest}",
                f"data/{record.data_key}",
                f"snapshots/{record.data_digest}",
            }
    return needed


def _read_marks(store: Store) -> Marks:
    try:
        return read_stamped(store, MARKS, Marks)
    except (MissingObject, CorruptObject):
        return Marks()  # every unit starts its seven days anew


def _remove(
    store: Store, unit: str, units: dict[str, list[str]], now: datetime, scratch: Path
) -> bool:
    """Remove one unit in the order that the head of this file describes; whether it is gone."""
    if is_pinned(store, unit, now):
        return False  # since the list was made
    keys = units[unit]
    manifests = [key for key in keys if key.endswith(f"/{MANIFEST}")]
    trash = copy_to_trash(store, keys, now, scratch)
    for key in (*manifests, *(key for key in keys if key not in manifests)):
        store.delete(key)
    if is_pinned(store, unit, now):
        _bring_back(store, trash, keys, scratch)
        return False
    log.info("removed %s (%d objects, in %s for %d days)", unit, len(keys), trash, GRACE_DAYS)
    return True


def _bring_back(store: Store, trash: str, keys: list[str], scratch: Path) -> None:
    """Put back what is missing, manifests last."""
    for key in sorted(keys, key=lambda key: key.endswith(f"/{MANIFEST}")):
        if not store.exists(key):
            copy_object(store, f"{trash}/{key}", key, scratch)
