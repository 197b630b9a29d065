"""A lease on a piece of work, so that two runs do not do it twice; correctness never rests on it.

`locks/<key>/<token, twelve digits>.json` names the holder and counts. The highest token holds. It
is taken over by putting token + 1 where its holder is a dead process of this machine, or where its
count stood still for the lease on the observer's own clock: no two clocks are ever compared.
"""

import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil

from records.base import Record
from tasks.background import in_background
from tasks.objects import MissingObject, Store, StoreError
from tasks.retries import patience

log = logging.getLogger("refit")

LEASE_S = 30.0
"""A holder that was not heard of for so long is taken for dead."""
BEATS_PER_LEASE = 6


class AlreadyRunning(Exception):
    """A living holder has the lease."""


class Holder(Record):
    """Who holds a lease, as the object in the store says it."""

    nonce: str
    host: str
    """Machine, boot and process namespace: equal only where process ids mean the same."""
    pid: int
    started_s: float
    """When the process started, by its own machine: a process id comes again."""
    since: str
    beat: int

    @classmethod
    def me(cls) -> "Holder":
        """This process."""
        return cls(
            nonce=uuid4().hex,
            host=_host(),
            pid=os.getpid(),
            started_s=psutil.Process().create_time(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            beat=0,
        )

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be gone; False also where that cannot be known."""
        return self.host == _host() and not self._is_running()

    @property
    def is_alive(self) -> bool:
        """Whether it is known to run."""
        return self.host == _host() and self._is_running()

    def _is_running(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.started_s) < 1
            return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


@contextmanager
def lease(store: Store, key: str, *, lease_s: float = LEASE_S) -> Iterator[int]:
    """Hold `key` for the block; gives the token.

    Raises:
        AlreadyRunning: somebody else holds it and lives. It takes up to a beat to know, and
            `lease_s` to take over from a holder of another machine that died.
    """
    me = Holder.me()
    token = _acquire(store, key, me, lease_s)
    try:
        with in_background(partial(_beat, store, key, token, me, lease_s), "lease"):
            yield token
    finally:
        with patience(0), suppress(StoreError):  # then it runs out
            _release(store, key, token)


def _acquire(store: Store, key: str, me: Holder, lease_s: float) -> int:
    watched, since = b"", 0.0
    while True:
        token, content = _latest(store, key)
        holder = _parse(content)
        if holder is not None and holder.nonce == me.nonce:
            return token  # the store had taken our write, and its answer was lost
        if content:
            has_counted = bool(watched) and content != watched
            if has_counted or (holder is not None and holder.is_alive):
                raise _running(content)
            has_stood_still = bool(watched) and time.monotonic() - since >= lease_s
            if not has_stood_still and (holder is None or not holder.is_dead):
                if not watched:
                    watched, since = content, time.monotonic()
                    log.info("looking up to %.0f s whether it lives: %s", lease_s, _said(content))
                time.sleep(min(1.0, lease_s / BEATS_PER_LEASE))
                continue
            log.info("taking over from a run that died: %s", _said(content))
        if store.put_if_absent(_key(key, token + 1), me.to_json()):
            return token + 1


def _beat(
    store: Store, key: str, token: int, me: Holder, lease_s: float, is_over: threading.Event
) -> None:
    """Count until the block ends, or somebody took over."""
    beat = 0
    while not is_over.wait(lease_s / BEATS_PER_LEASE):
        beat += 1
        try:
            latest, _ = _latest(store, key)
            if latest != token:
                log.warning(
                    "the lease of %s was taken over; this run goes on and may end second", key
                )
                return
            store.write(_key(key, token), me.model_copy(update={"beat": beat}).to_json())
        except StoreError as exc:
            log.warning("the lease of %s could not be renewed: %s", key, exc)


def _release(store: Store, key: str, token: int) -> None:
    """Remove our token and those before it, ours last; a later one is somebody else's."""
    for number in _tokens(store, key):
        if number <= token:
            store.delete(_key(key, number))


def _latest(store: Store, key: str) -> tuple[int, bytes]:
    """The highest token and its object; (0, nothing) where nobody holds the lease."""
    while tokens := _tokens(store, key):
        with suppress(MissingObject):  # released meanwhile
            return tokens[-1], store.read(_key(key, tokens[-1]))
    return 0, b""


def _tokens(store: Store, key: str) -> list[int]:
    names = [Path(found).stem for found in store.list(f"locks/{key}")]
    return sorted(int(name) for name in names if name.isdecimal())


def _key(key: str, token: int) -> str:
    return f"locks/{key}/{token:012d}.json"


def _parse(content: bytes) -> Holder | None:
    try:
        return Holder.from_json(content)
    except ValueError:
        return None  # damaged: then only the clock tells


def _running(content: bytes) -> AlreadyRunning:
    return AlreadyRunning(f"The same work is already running: {_said(content)}. Wait for it.")


def _said(content: bytes) -> str:
    holder = _parse(content)
    if holder is None:
        return "a holder that cannot be read"
    machine = holder.host.partition(" ")[0]
    return f"process {holder.pid} on {machine} since {holder.since}"


def _host() -> str:
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {os.stat('/proc/self/ns/pid').st_ino}"
    return f"{platform.node()} {psutil.boot_time():.0f}"
