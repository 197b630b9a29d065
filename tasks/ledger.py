"""The ledger: the append-only, hash-chained history of champions, one object per entry.

`ledger/<name>/<12 digits>.json` holds an entry's canonical JSON with its own `hash` beside it, so
that a changed byte shows even in the last entry, which no successor names. Whoever can rewrite the
store can also rewrite a hash: the mirror in the registry (tasks/registry.py) is against that.

Errors, each with what, where and the next step:

    ValueError
    ├── StoreError (tasks/objects.py)
    └── LedgerError             a bad name
        ├── LedgerCorrupt       an entry is missing, changed, or does not name the one before
        ├── ChampionChanged     another entry came first: evaluate again, then decide again
        ├── EntryRefused        the draft contradicts the history (barred, held, wrong champion)
        ├── AliasBehind         it was appended, and the registry does not follow yet: reconcile
        ├── NoRollback          there is no earlier champion to go back to, or it is barred
        └── NameClaimed         another recipe owns this model name
"""

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import cast

from records.base import canonical_json, sha256
from records.ledger import Action, LedgerEntry
from records.task import DEFAULT_TASK, TASKS, Task
from tasks.objects import MissingObject, Store, StoreUnreachable, put_or_read
from tasks.succession import (
    CROWNING,
    LedgerError,
    NoRollback,
    anchor,
    barred_digests,
    champion,
    crowned_versions,
    is_held,
    never_champion,
    rollback_target,
)

__all__ = [
    "CROWNING",
    "AliasBehind",
    "ChampionChanged",
    "EntryRefused",
    "LedgerCorrupt",
    "LedgerError",
    "NameClaimed",
    "NoRollback",
    "anchor",
    "append",
    "barred_digests",
    "champion",
    "check_claim",
    "check_name",
    "claim_name",
    "claimed_task",
    "crowned_versions",
    "head",
    "history",
    "is_held",
    "known_ledgers",
    "never_champion",
    "rollback_target",
    "verify",
]

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
ENTRY_PATTERN = re.compile(r"(\d{12})\.json")
CHANGING: frozenset[Action] = CROWNING | {"rollback", "retire"}
APPEND_DELAYS_S = (0.0, 0.1, 0.5, 2.0)
"""Waits before each attempt to append: the store may say "conflict, try again" or not answer."""
NUM_READERS = 8


class LedgerCorrupt(LedgerError):
    """The stored history is not one unbroken chain."""


class ChampionChanged(LedgerError):
    """Another entry came first. `now` is that entry; None where the ledger is empty."""

    def __init__(self, message: str, now: LedgerEntry | None = None) -> None:
        super().__init__(message)
        self.now = now


class EntryRefused(LedgerError):
    """The draft contradicts the history."""


class AliasBehind(LedgerError):
    """The change is in the ledger, and the registry does not follow yet."""


class NameClaimed(LedgerError):
    """Another recipe owns the name."""


def head(store: Store, name: str) -> LedgerEntry | None:
    """The last entry, itself checked but not its chain; None where the ledger is empty.

    Raises:
        LedgerCorrupt: entries are missing before it, or its bytes are not those of its hash.
    """
    keys, problems = _entry_keys(store, name)
    if problems:
        raise _corrupt(store, name, problems)
    return _read(store, keys[-1]) if keys else None


def history(store: Store, name: str) -> tuple[LedgerEntry, ...]:
    """Every entry, oldest first, the whole chain verified.

    Raises:
        LedgerCorrupt: names each entry that is missing, changed or out of the chain.
    """
    entries, problems = _load(store, name)
    if problems:
        raise _corrupt(store, name, problems)
    return entries


def known_ledgers(store: Store) -> list[str]:
    """Names of all models that have a ledger."""
    return sorted({key.split("/")[1] for key in store.list("ledger")})


def verify(store: Store, name: str) -> list[str]:
    """What is wrong with the stored history, a sentence for each entry; empty: it holds.

    Where the store keeps earlier versions of an object, the first one of each entry counts.
    """
    problems = _load(store, name)[1]
    return problems + [
        f"{key} was overwritten or deleted: it was written with sha256 {sha256(first)[:12]}...; "
        "bring its oldest version back"
        for key, first in store.rewritten(f"ledger/{check_name(name)}")
    ]


def append(
    store: Store, name: str, draft: LedgerEntry, *, decided_against: LedgerEntry | None
) -> LedgerEntry:
    """Append the draft right after the entry that it was decided against, exactly once.

    A lost answer or a crash is harmless: called again with the same decision, it gives the entry
    that is already there.

    Args:
        store: one whose `probe` passes.
        name: registered model.
        draft: `sequence` and `previous_hash` are filled in here, and `replaces` where it is empty.
        decided_against: the head when the decision was taken; None for an empty ledger.

    Returns:
        The entry as it stands in the ledger.

    Raises:
        ChampionChanged: the head is another one by now; nothing was written.
        EntryRefused, NoRollback: the draft contradicts the history; nothing was written.
        LedgerCorrupt: the history does not hold; nothing is appended to it.
        StoreUnreachable: it is not known whether the entry was written; call again.
    """
    entries = history(store, name)
    if (earlier := _find_promotion(entries, draft)) is not None:
        return earlier
    latest = entries[-1] if entries else None
    if latest != decided_against:
        raise _changed(name, decided_against, latest)
    entry = _complete(entries, draft)
    found = _put_or_read(store, name, entry)
    if not _is_same(found, entry):
        raise _changed(name, decided_against, found)
    return found


def claim_name(store: Store, name: str, recipe_name: str, task: str) -> None:
    """Make the model name this recipe's own; nothing happens where it already is.

    Raises:
        NameClaimed: another recipe, or the same one with another task, holds it.
    """
    found = put_or_read(store, _claim_key(name), _claim(name, recipe_name, task))
    _check_owner(store, name, found, recipe_name, task)


def check_claim(store: Store, name: str, recipe_name: str, task: str) -> None:
    """Raise where another recipe owns the name; only reads, so that a run asks before it trains.

    Raises:
        NameClaimed: another recipe, or the same one with another task, holds it.
    """
    with suppress(MissingObject):
        _check_owner(store, name, store.read(_claim_key(name)), recipe_name, task)


def claimed_task(store: Store, name: str) -> Task:
    """What the model is for; a name that nobody claimed was adopted, as a classifier."""
    try:
        task = json.loads(store.read(_claim_key(name)))["task"]
    except MissingObject:
        return DEFAULT_TASK
    except (ValueError, KeyError, TypeError) as exc:
        raise LedgerCorrupt(f"{_claim_key(name)} is unreadable; restore it") from exc
    if task not in TASKS:
        raise LedgerCorrupt(f"{_claim_key(name)} names the task {task!r}, unknown to this version")
    return cast(Task, task)


def check_name(name: str) -> str:
    """The name itself; raises LedgerError where it cannot be part of a key."""
    if not NAME_PATTERN.fullmatch(name) or set(name) == {"."}:
        raise LedgerError(
            f"model name {name[:200]!r} must be 1 to 128 letters, digits, '.', '_' or '-';"
            " rename it in the recipe"
        )
    return name


# -- reading ---------------------------------------------------------------------------------------


def _claim_key(name: str) -> str:
    return f"names/{check_name(name)}.json"


def _claim(name: str, recipe_name: str, task: str) -> bytes:
    return canonical_json({"name": name, "recipe": recipe_name, "task": task})


def _check_owner(store: Store, name: str, found: bytes, recipe_name: str, task: str) -> None:
    if found == _claim(name, recipe_name, task):
        return
    key = _claim_key(name)
    try:
        owner = json.loads(found)
        said = f"recipe {owner['recipe']!r} with task {owner['task']!r}"
    except (ValueError, KeyError, TypeError):
        said = f"an unreadable {key}"
    raise NameClaimed(
        f"model name {name!r} belongs to {said}, not to {recipe_name!r} with {task!r};"
        f" choose another registry name, or delete {store.uri}/{key} if that owner is gone"
    )


def _key(name: str, sequence: int) -> str:
    return f"ledger/{check_name(name)}/{sequence:012d}.json"


def _encode(entry: LedgerEntry) -> bytes:
    return canonical_json({**json.loads(entry.to_json()), "hash": entry.digest})


def _read(store: Store, key: str) -> LedgerEntry:
    data = store.read(key)
    try:
        fields = json.loads(data)
        fields.pop("hash")
        entry = LedgerEntry.model_validate(fields)
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise LedgerCorrupt(f"{key} is not a ledger entry") from exc
    if _encode(entry) != data:
        raise LedgerCorrupt(f"{key} was changed: its bytes are not those of its hash")
    return entry


def _entry_keys(store: Store, name: str) -> tuple[list[str], list[str]]:
    """Keys of the entries in order, and a problem for each gap and each stranger."""
    keys, problems, expected = [], [], 1
    for key in store.list(f"ledger/{check_name(name)}"):
        found = ENTRY_PATTERN.fullmatch(key.rsplit("/", 1)[-1])
        if found is None or key != _key(name, int(found[1])) or int(found[1]) < 1:
            problems.append(f"{key} is not an entry's key")
            continue
        sequence = int(found[1])
        problems += [f"entry {missing} is missing" for missing in range(expected, sequence)][:10]
        expected = sequence + 1
        keys.append(key)
    return keys, problems


def _load(store: Store, name: str) -> tuple[tuple[LedgerEntry, ...], list[str]]:
    keys, problems = _entry_keys(store, name)
    with ThreadPoolExecutor(NUM_READERS) as pool:
        # a thread does not inherit how long the run waits for a service
        asked = [pool.submit(copy_context().run, _try_read, store, key) for key in keys]
        read = [one.result() for one in asked]
    entries: list[LedgerEntry] = []
    for key, found in zip(keys, read, strict=True):
        if isinstance(found, str):
            problems.append(found)
            continue
        problems += _chain_problems(key, found, entries[-1] if entries else None)
        entries.append(found)
    return tuple(entries), problems


def _try_read(store: Store, key: str) -> LedgerEntry | str:
    try:
        return _read(store, key)
    except MissingObject:
        return f"{key} vanished while it was read"
    except LedgerCorrupt as exc:
        return str(exc)


def _chain_problems(key: str, entry: LedgerEntry, previous: LedgerEntry | None) -> list[str]:
    if not key.endswith(f"/{entry.sequence:012d}.json"):
        return [f"{key} holds entry {entry.sequence}"]
    follows = previous is not None and previous.sequence == entry.sequence - 1
    if previous is not None and follows and entry.previous_hash != previous.digest:
        return [f"{key} does not continue the chain: it names another entry {previous.sequence}"]
    if entry.sequence == 1 and entry.previous_hash:
        return [f"{key} is the first entry and yet names one before it"]
    return []


def _corrupt(store: Store, name: str, problems: Sequence[str]) -> LedgerCorrupt:
    listed = "; ".join(problems)
    return LedgerCorrupt(
        f"the ledger of {name!r} in {store.uri} does not hold: {listed}. Restore these objects"
        " from a copy; nothing is appended until then"
    )


# -- appending -------------------------------------------------------------------------------------


def _find_promotion(entries: Sequence[LedgerEntry], draft: LedgerEntry) -> LedgerEntry | None:
    """Our own promotion, appended before a crash; in the whole ledger, as others may follow it."""
    if draft.action != "promote" or not draft.decision_digest:
        return None
    return next((entry for entry in entries if _is_same(entry, draft)), None)


def _is_same(found: LedgerEntry, ours: LedgerEntry) -> bool:
    if found.action == ours.action and ours.decision_digest:
        return found.decision_digest == ours.decision_digest
    return found == ours


def _complete(entries: Sequence[LedgerEntry], draft: LedgerEntry) -> LedgerEntry:
    """The draft in its place in the chain, after it was held against the history."""
    live = champion(entries)
    live_digest = live.model_digest if live else ""
    filled = {
        "sequence": len(entries) + 1,
        "previous_hash": entries[-1].digest if entries else "",
    }
    if draft.action in CHANGING:
        filled["replaces"] = draft.replaces or live_digest
    entry = draft.model_copy(update=filled)
    if problems := _contradictions(entries, entry, live):
        raise EntryRefused(f"{entry.action} of version {entry.version!r}: " + "; ".join(problems))
    return entry


def _contradictions(
    entries: Sequence[LedgerEntry], entry: LedgerEntry, live: LedgerEntry | None
) -> list[str]:
    problems = []
    if entry.action in CHANGING and entry.replaces != (live.model_digest if live else ""):
        problems.append("`replaces` is not the champion's digest; read the ledger again")
    if entry.action in CROWNING | {"rollback"} and not (entry.version and entry.model_digest):
        problems.append("a champion needs a version and a model digest")
    if entry.action == "promote":
        if not entry.decision_digest:
            problems.append("a promotion needs its decision; without one, use override")
        if entry.model_digest in barred_digests(entries):
            problems.append("this model was rolled back; train another, or use override")
        if reason := is_held(entries):
            problems.append(f"held by {reason}; release first")
    if entry.action == "rollback":
        if entry.model_digest not in crowned_versions(entries, entry.version):
            problems.append("this version had another model digest; read the ledger again")
        else:
            rollback_target(entries, entry.model_digest)
    if entry.action == "adopt" and live is not None:
        problems.append(f"version {live.version!r} is champion already; use promote or override")
    if entry.action == "retire" and (live is None or entry.version):
        problems.append("retire needs a champion and leaves no version")
    return problems


def _put_or_read(store: Store, name: str, entry: LedgerEntry) -> LedgerEntry:
    """The entry that stands at this sequence number in the end: ours, or one that came first."""
    key, fault = _key(name, entry.sequence), None
    for delay_s in APPEND_DELAYS_S:
        time.sleep(delay_s)
        try:
            if store.put_if_absent(key, _encode(entry)):
                return entry
        except StoreUnreachable as exc:
            fault = exc  # written or not: only reading tells
        try:
            return _read(store, key)
        except MissingObject:
            continue  # it never arrived: try again
        except StoreUnreachable as exc:
            fault = exc
    again = (
        "run again: if it was, that run will find it"
        if entry.action == "promote"
        else f"see `refit history {name}` before you ask for this {entry.action} again"
    )
    raise StoreUnreachable(
        f"it is not known whether {store.uri}/{key} was written; {again}"
    ) from fault


def _changed(
    name: str, decided_against: LedgerEntry | None, now: LedgerEntry | None
) -> ChampionChanged:
    return ChampionChanged(
        f"the champion of {name!r} changed: decided against {_said(decided_against)}, but now there"
        f" is {_said(now)}; evaluate against it and decide again",
        now,
    )


def _said(entry: LedgerEntry | None) -> str:
    if entry is None:
        return "an empty ledger"
    return f"entry {entry.sequence} ({entry.action}, version {entry.version or 'none'})"
