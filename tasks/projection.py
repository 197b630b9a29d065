"""Under which number the registry holds the champion, where that is not the ledger's number.

The ledger is never rewritten: a version that was lost and registered again has a new number, and
this note says which, so that nobody has to ask the registry.
"""

from contextlib import suppress

from records.base import Record
from records.ledger import LedgerEntry
from tasks.objects import CorruptObject, MissingObject, Store
from tasks.stamped import read_stamped, write_stamped


class Projection(Record):
    """A model of the ledger under its number of today."""

    model_digest: str
    version: str


def registered_version(store: Store, name: str, entry: LedgerEntry) -> str:
    """The version that the registry's alias names while `entry` is champion."""
    noted = _read(store, name)
    is_noted = noted is not None and noted.model_digest == entry.model_digest
    return noted.version if noted is not None and is_noted else entry.version


def note_version(store: Store, name: str, entry: LedgerEntry, version: str) -> None:
    """Keep the note true; nothing is written where it is, and none is kept for the ledger's own."""
    if registered_version(store, name, entry) == version:
        return
    write_stamped(store, _key(name), Projection(model_digest=entry.model_digest, version=version))


def _read(store: Store, name: str) -> Projection | None:
    with suppress(MissingObject, CorruptObject):  # `reconcile` writes it again
        return read_stamped(store, _key(name), Projection)
    return None


def _key(name: str) -> str:
    return f"registered/{name}.json"
