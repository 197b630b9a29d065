"""Two writers of one payload that meet: both have stored their files, and neither its manifest."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tasks.objects import StoreUnreachable
from tasks.payload import MANIFEST
from tasks.store import LocalStore


def meet_at_the_manifest(
    monkeypatch: pytest.MonkeyPatch, below: str, rival: Callable[[], None], *, rival_ends: bool
) -> None:
    """Run `rival` when the first manifest below a folder is about to be stored.

    Args:
        monkeypatch, below, rival: where, and the whole work of the other writer.
        rival_ends: whether its manifest comes first; otherwise it has none when ours comes.
    """
    put, manifests = LocalStore.put_if_absent, []

    def put_after_the_rival(store: LocalStore, key: str, data: bytes) -> bool:
        if key.startswith(below) and key.endswith(f"/{MANIFEST}"):
            manifests.append(key)
            if len(manifests) == 1:
                with suppress(StoreUnreachable):
                    rival()
                assert manifests == [key, key], "the rival stored its files"
            elif not rival_ends:
                raise StoreUnreachable("it has the files, and no manifest")
        return put(store, key, data)

    monkeypatch.setattr(LocalStore, "put_if_absent", put_after_the_rival)
