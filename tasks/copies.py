"""Copy a store, or a bucket with a store in it, into an empty place: backup, restore, moving house."""

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from uuid import uuid4

from tasks.objects import Store, StoreError
from tasks.payload import MANIFEST

NUM_AT_ONCE = 8


class CopyRefused(StoreError):
    """There is nothing to copy, or something lies where the copy should."""


def copy_store(source: Store, target: Store, scratch: Path) -> int:
    """Copy every object, byte for byte; returns how many there were.

    Payload first, manifests after it, ledgers last: a copy that was broken off is no store yet.

    Args:
        source: which nobody writes to meanwhile.
        target: empty, so that nothing of two stores is ever mixed.
        scratch: a folder for the objects on their way.

    Raises:
        CopyRefused: the source is empty, or the target is not.
    """
    keys = sorted(source.list(), key=_turn)
    if not keys:
        raise CopyRefused(f"{source.uri} holds no object; correct the address that is copied from")
    if (found := next(iter(target.list()), None)) is not None:
        raise CopyRefused(f"{target.uri} holds objects already ({found}); give an empty place")

    def copy(key: str) -> None:
        path = scratch / uuid4().hex
        source.download(key, path)
        target.upload(key, path)
        path.unlink()

    with ThreadPoolExecutor(NUM_AT_ONCE, "copy") as pool:
        for _, group in groupby(keys, key=_turn):
            for _ in pool.map(copy, group):
                continue  # raises what a copy raised
    return len(keys)


def _turn(key: str) -> tuple[bool, bool]:
    """When a key's turn comes: False before True."""
    parts = key.split("/")
    return "ledger" in parts, parts[-1] == MANIFEST
