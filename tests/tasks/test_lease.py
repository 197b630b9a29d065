"""The lease: one holder at a time, told from a dead one, and never for ever."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import psutil
import pytest

import tasks.lease
from tasks.lease import AlreadyRunning, Holder, lease
from tasks.store import LocalStore, Store

KEY = "trains/some-key"
SHORT_S = 1.2


def holder_elsewhere(store: Store, token: int = 1, beat: int = 0) -> None:
    """A holder on another machine, of which nothing can be known."""
    me = Holder.me().model_copy(update={"host": "elsewhere boot 1", "pid": 4711, "beat": beat})
    store.write(f"locks/{KEY}/{token:012d}.json", me.to_json())


def hold_for_ever(folder: Path, is_held: Event) -> None:
    """Another process of this machine."""
    with lease(LocalStore(folder), KEY, lease_s=SHORT_S):
        is_held.set()
        time.sleep(600)


def test_lease_is_exclusive_and_free_again_with_nothing_left(store: Store) -> None:
    with lease(store, KEY) as token:
        assert token == 1
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()} on .*Wait for it"):
            lease(store, KEY).__enter__()
        with lease(store, "trains/another"):
            pass
    assert list(store.list("locks")) == []
    with lease(store, KEY) as token:
        assert token == 1


def test_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    is_held = context.Event()
    process = context.Process(target=hold_for_ever, args=(tmp_path, is_held))
    process.start()
    assert is_held.wait(20)
    store = LocalStore(tmp_path)
    with pytest.raises(AlreadyRunning, match=f"process {process.pid} on"):
        lease(store, KEY, lease_s=3600).__enter__()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    started = time.monotonic()
    with lease(store, KEY, lease_s=3600) as token:
        assert token == 2
    assert time.monotonic() - started < 2
    assert list(store.list("locks")) == []


def test_lease_of_a_killed_process_that_nobody_waited_for_is_taken_over_at_once(
    tmp_path: Path,
) -> None:
    """As in a container whose first process waits for nobody: its number is still there."""
    context = multiprocessing.get_context("fork")
    is_held = context.Event()
    process = context.Process(target=hold_for_ever, args=(tmp_path, is_held))
    process.start()
    assert is_held.wait(20)
    os.kill(process.pid or 0, signal.SIGKILL)
    end = time.monotonic() + 20
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)
    with lease(LocalStore(tmp_path), KEY, lease_s=3600) as token:
        assert token == 2
    process.join()


def test_lease_of_another_machine_is_taken_over_when_its_count_stands_still(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)
    holder_elsewhere(store)
    started = time.monotonic()
    with caplog.at_level(logging.INFO, "refit"), lease(store, KEY, lease_s=SHORT_S) as token:
        assert token == 2
        assert time.monotonic() - started >= SHORT_S
    assert "taking over from a run that died: process 4711 on elsewhere" in caplog.text


def test_lease_of_another_machine_is_respected_while_it_counts(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    holder_elsewhere(store)
    threading.Timer(SHORT_S / 3, holder_elsewhere, (store, 1, 1)).start()
    with pytest.raises(AlreadyRunning, match="process 4711 on elsewhere"):
        lease(store, KEY, lease_s=SHORT_S).__enter__()


def test_lease_that_is_released_while_it_is_watched_is_taken(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    holder_elsewhere(store)
    threading.Timer(SHORT_S / 3, store.delete, (f"locks/{KEY}/{1:012d}.json",)).start()
    started = time.monotonic()
    with lease(store, KEY, lease_s=30) as token:
        assert token == 1
    assert time.monotonic() - started < 20


def test_holder_counts_and_notices_that_it_lost_the_lease(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that slept through its lease: the newcomer's object is left alone."""
    store = LocalStore(tmp_path)
    with lease(store, KEY, lease_s=SHORT_S):
        end = time.monotonic() + 10
        while Holder.from_json(store.read(f"locks/{KEY}/{1:012d}.json")).beat < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        holder_elsewhere(store, token=2)
        while "was taken over" not in caplog.text:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert list(store.list("locks")) == [f"locks/{KEY}/{2:012d}.json"]


def test_damaged_lease_is_taken_over_after_its_time(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write(f"locks/{KEY}/{7:012d}.json", b"\x00not json")
    with lease(store, KEY, lease_s=SHORT_S) as token:
        assert token == 8


def test_one_of_many_racers_gets_the_lease(store: Store) -> None:
    won, lost, start = [], [], threading.Barrier(8)
    is_over = threading.Event()

    def race() -> None:
        start.wait(20)
        try:
            with lease(store, KEY):
                won.append(1)
                is_over.wait(20)
        except AlreadyRunning:
            lost.append(1)
        if len(lost) == 7:
            is_over.set()

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert (len(won), len(lost)) == (1, 7)


def test_process_number_that_came_again_is_another_process() -> None:
    me = Holder.me()
    assert me.is_alive
    assert not me.is_dead
    again = me.model_copy(update={"started_s": me.started_s - 3600})
    assert again.is_dead
    assert not again.is_alive
    there = again.model_copy(update={"host": "elsewhere"})
    assert not there.is_dead
    assert not there.is_alive


def test_write_whose_answer_was_lost_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = LocalStore.put_if_absent

    def lose_the_answer(self: LocalStore, key: str, data: bytes) -> bool:
        put(self, key, data)
        return False

    monkeypatch.setattr(LocalStore, "put_if_absent", lose_the_answer)
    with lease(LocalStore(tmp_path), KEY) as token:
        assert token == 1
    assert tasks.lease.LEASE_S / tasks.lease.BEATS_PER_LEASE <= 5, "README: known within 5 s"
