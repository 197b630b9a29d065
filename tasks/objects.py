"""What a store is: its protocol, its keys, its errors, and the proof of its conditional writes.

Errors say what, where and the next step, and never hold a secret:

    ValueError
    └── StoreError                   refused for good: a bad key, an unknown scheme
        ├── MissingObject            there is no object of that key
        ├── MissingBucket            there is no such bucket
        ├── CorruptObject            the bytes are not those that the manifest names
        ├── IncompletePayload        a folder without its manifest: its writer never finished
        ├── AccessDenied             credentials are absent, wrong, or lack the right
        ├── DiskFull                 no room for another byte; what is stored stays whole
        ├── ConditionalWriteIgnored  put_if_absent overwrote: no ledger may live here
        └── StoreUnreachable         a fault that may pass (refused, timed out, 5xx): retry is safe
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

TEMPORARY = ".tmp"
"""Folder of unfinished writes inside a local store; no key may begin with it."""
MAX_KEY_BYTES = 900
"""S3 allows 1024 with the prefix."""
MAX_PART_BYTES = 255
NUM_PROBE_WRITERS = 8
NUM_PUTS = 5


class StoreError(ValueError):
    """The store refuses, for good unless a subclass says otherwise."""


class MissingObject(StoreError):
    """There is no object of that key."""


class MissingBucket(StoreError):
    """There is no such bucket."""


class CorruptObject(StoreError):
    """The bytes are not those that the manifest names, or the manifest is none."""


class IncompletePayload(StoreError):
    """A folder without its manifest."""


class AccessDenied(StoreError):
    """Credentials are absent, wrong, or lack the right."""


class DiskFull(StoreError):
    """No room for another byte; what is stored stays whole."""


class ConditionalWriteIgnored(StoreError):
    """`put_if_absent` overwrote what was there."""


class StoreUnreachable(StoreError):
    """A fault that may pass. A write that ends so may have happened: read before trying again."""


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`, as they are written; what is missing is empty."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


class Store(Protocol):
    """Objects by key: parts joined by `/`, no `.` or `..`, printable, at most 900 bytes."""

    @property
    def uri(self) -> str:
        """`file:///folder` or `s3://bucket/prefix`; `open_store` takes it back."""
        ...

    def read(self, key: str) -> bytes:
        """The object; raises MissingObject."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Create or replace; a reader sees the old bytes or the new, never a mixture."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """True: this call created the object. False: one was there, or came first."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """Keys below the folder `prefix`, at any depth, sorted; empty prefix: all."""
        ...

    def rewritten(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Keys below `prefix` that hold other bytes than at first, or none, and the first bytes.

        Empty where the store keeps no earlier versions.
        """
        ...

    def mark(self, key: str) -> str | None:
        """What is another one once the object is written anew; None where there is no object."""
        ...

    def marks(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Keys as `list` gives them, each with its `mark`."""
        ...

    def delete(self, key: str) -> None:
        """Remove; nothing happens where it is absent."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """`write` from a file of any size."""
        ...

    def download(self, key: str, path: Path) -> None:
        """The object into a file, which appears whole; raises MissingObject."""
        ...

    def local_folder(self, prefix: str) -> Path | None:
        """Where this machine holds the keys below `prefix` as files; None: download them."""
        ...

    def probe(self) -> None:
        """Raise unless conditional writes hold here; leaves nothing behind."""
        ...


def check_key(key: str) -> str:
    """The key itself; raises StoreError where it could leave the store or break on a disk or S3."""
    parts = key.split("/")
    if (
        not key.isprintable()  # also NUL, line ends and lone surrogates
        or "\\" in key
        or any(part in ("", ".", "..") for part in parts)
        or parts[0] == TEMPORARY
        or len(key.encode()) > MAX_KEY_BYTES
        or any(len(part.encode()) > MAX_PART_BYTES for part in parts)
    ):
        raise StoreError(
            f"key {key[:200]!r} is not printable parts joined by '/', without '.', '..', empty"
            f" parts or a leading {TEMPORARY!r}, at most {MAX_PART_BYTES} bytes each and"
            f" {MAX_KEY_BYTES} in all"
        )
    return key


def put_or_read(store: Store, key: str, data: bytes) -> bytes:
    """The object that stands at `key` in the end: ours, or the one that came first.

    Raises:
        StoreUnreachable: each time one was there, and gone when it was read.
    """
    for _ in range(NUM_PUTS):
        if store.put_if_absent(key, data):
            return data
        with suppress(MissingObject):
            return store.read(key)
    raise StoreUnreachable(f"{store.uri}/{key} comes and goes; try again")


def probe_writes(store: Store) -> None:
    """Many writers of one key at once, then one more: a single one may win.

    At once, because OpenStack Swift answers 412 in turn and yet lets several racers win.

    Raises:
        ConditionalWriteIgnored: more than one won.
        StoreUnreachable: no answer, or the winner's answer was lost.
    """
    key = f"probe/{uuid4().hex}"
    try:
        with ThreadPoolExecutor(NUM_PROBE_WRITERS) as pool:
            racers = [
                pool.submit(store.put_if_absent, key, b"%d" % number)
                for number in range(NUM_PROBE_WRITERS)
            ]
        num_winners = sum(racer.result() for racer in racers)
        num_winners += store.put_if_absent(key, b"late")
    finally:
        store.delete(key)
    if num_winners > 1:
        raise ConditionalWriteIgnored(
            f"{store.uri} let {num_winners} of {NUM_PROBE_WRITERS + 1} conditional writes of one"
            " key succeed, so two champions could be promoted at once; use AWS S3, Ceph's radosgw"
            " or a local folder"
        )
    if num_winners == 0:
        raise StoreUnreachable(f"{store.uri} lost the answer to every probe; try again")
