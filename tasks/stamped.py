"""Single records in the store, each with its own sha256: a changed byte is never read as a value."""

import json
from typing import TypeVar

from records.base import Record, canonical_json, sha256
from tasks.objects import CorruptObject, Store

R = TypeVar("R", bound=Record)


def write_stamped(store: Store, key: str, record: Record) -> None:
    """Create or replace the record at `key`."""
    store.write(key, encode_stamped(record))


def put_stamped(store: Store, key: str, record: Record) -> bool:
    """Create the record at `key`; False where one was there."""
    return store.put_if_absent(key, encode_stamped(record))


def read_stamped(store: Store, key: str, kind: type[R], *, may_be_bare: bool = False) -> R:
    """The record at `key`.

    Args:
        store, key, kind: where it is, and what.
        may_be_bare: whether it may be from a version that wrote this kind without a stamp.

    Raises:
        MissingObject: there is none.
        CorruptObject: its bytes are not those that were written, or another version wrote them.
    """
    content = store.read(key)
    is_read_bare = may_be_bare and is_bare(content)
    if not is_read_bare and (problem := stamp_problem(content)) is not None:
        raise CorruptObject(
            f"{store.uri}/{key} {problem}; set it aside with `refit verify --set-aside` and run "
            "again: it is made anew"
        )
    try:
        found = json.loads(content)
        return kind.model_validate(found if is_read_bare else found["record"])
    except ValueError as exc:
        raise CorruptObject(
            f"{store.uri}/{key} was written by another version of refit; set it aside with "
            "`refit verify --set-aside` and run again"
        ) from exc


def encode_stamped(record: Record) -> bytes:
    """`{"record": ..., "sha256": ...}` in canonical form."""
    return canonical_json({"record": json.loads(record.to_json()), "sha256": record.digest})


def stamp_problem(content: bytes) -> str | None:
    """Why these bytes are not what `encode_stamped` wrote; None: they are."""
    try:
        found = json.loads(content)
        record = canonical_json(found["record"])
        whole = canonical_json({"record": found["record"], "sha256": sha256(record)})
    except (ValueError, KeyError, TypeError):
        return "is not a stamped record"
    return None if whole == content else "was changed: its bytes are not those of its sha256"


def is_bare(content: bytes) -> bool:
    """Whether these bytes are a record without a stamp: nothing tells whether they were changed."""
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and not found.keys() & {"record", "sha256"}
