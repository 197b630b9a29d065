"""Checkpoints of a training in the store: written in the background, found again, removed.

`checkpoints/<train key>/<step, nine digits>-<writer>/` is a payload like any other: files first,
manifest last, every byte checked when it is read. Two writers of one key cannot meet in a folder.
"""

import logging
import shutil
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from tasks.objects import CorruptObject, IncompletePayload, MissingObject, Store, StoreError
from tasks.payload import MANIFEST, delete_folder, open_folder, put_folder
from tasks.pins import pin

log = logging.getLogger("refit")

NUM_KEPT = 2
"""The last one, and the one before in case its bytes rot."""


class CheckpointWriter:
    """Uploads checkpoints one after the other while the training goes on; the newest one counts.

    A checkpoint only saves work: where the store refuses one, a warning says so, and the training
    goes on. Leaving the `with` block waits for the upload of the last one.
    """

    def __init__(self, store: Store, train_key: str) -> None:
        self.store = store
        self.train_key = train_key
        self._writer = uuid4().hex[:8]
        self._waiting: Path | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def put(self, folder: Path) -> None:
        """Take over `folder`, named `checkpoint-<step>`; one that still waits is dropped for it."""
        with self._changed:
            dropped, self._waiting = self._waiting, folder
            self._changed.notify()
        if dropped is not None:
            shutil.rmtree(dropped, ignore_errors=True)

    def _work(self) -> None:
        while (folder := self._next()) is not None:
            try:
                self._upload(folder)
            except (StoreError, OSError) as exc:
                log.warning("the checkpoint could not be stored, training goes on: %s", exc)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _next(self) -> Path | None:
        with self._changed:
            while self._waiting is None and not self._is_closed:
                self._changed.wait()
            folder, self._waiting = self._waiting, None
            return folder

    def _upload(self, folder: Path) -> None:
        pin(self.store, f"checkpoints/{self.train_key}")
        step = int(folder.name.rpartition("-")[2])
        put_folder(
            self.store,
            _prefix(self.train_key, f"{step:09d}-{self._writer}"),
            folder,
            is_pinned=False,
        )
        names = _names(self.store, self.train_key)
        whole = [n for n in names if self.store.exists(f"{_prefix(self.train_key, n)}/{MANIFEST}")]
        for name in names if len(whole) > NUM_KEPT else ():
            if name < whole[NUM_KEPT - 1]:
                delete_folder(self.store, _prefix(self.train_key, name))


def find_checkpoint(store: Store, train_key: str, cache: Path) -> Path | None:
    """The latest checkpoint that is whole, on this machine; a damaged one is said and passed over."""
    pin(store, f"checkpoints/{train_key}")
    for name in _names(store, train_key):
        try:
            folder = open_folder(store, _prefix(train_key, name), cache)
        except IncompletePayload:
            continue  # its writer was killed
        except (CorruptObject, MissingObject) as exc:
            log.warning("checkpoint %s cannot be used, trying the one before: %s", name, exc)
            continue
        log.info("going on from the checkpoint of step %d", int(name.partition("-")[0]))
        return folder
    return None


def delete_checkpoints(store: Store, train_key: str, cache: Path) -> None:
    """Remove all checkpoints of a finished training, and this machine's copies."""
    for name in _names(store, train_key):
        delete_folder(store, _prefix(train_key, name))
    shutil.rmtree(cache / "checkpoints" / train_key, ignore_errors=True)


def _names(store: Store, train_key: str) -> list[str]:
    """Complete and unfinished checkpoints, the latest first."""
    below = f"checkpoints/{train_key}"
    return sorted({key.split("/")[2] for key in store.list(below)}, reverse=True)


def _prefix(train_key: str, name: str) -> str:
    return f"checkpoints/{train_key}/{name}"
