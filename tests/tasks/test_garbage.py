"""Garbage collection: never what is needed, never at once, never from under a writer."""

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.approval import answer
from tasks.garbage import MARKS, collect, find_garbage
from tasks.ledger import LedgerCorrupt
from tasks.payload import MANIFEST, has_folder, open_folder, put_folder
from tasks.store import LocalStore, Store
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]

NOW = datetime.now(UTC)
UNIT = "models/abc"


def at(days: float) -> datetime:
    return NOW + timedelta(days=days)


@dataclass(frozen=True)
class PausingStore(LocalStore):
    """Runs `meanwhile` once, before operation number `pause_at` of this store."""

    pause_at: int = -1
    meanwhile: Callable[[], None] = lambda: None
    count: list[int] = field(default_factory=lambda: [0])

    def step(self) -> None:
        self.count[0] += 1
        if self.count[0] == self.pause_at:
            self.meanwhile()


def _pausing(name: str) -> Callable[..., Any]:
    def call(self: PausingStore, *args: Any) -> Any:
        self.step()
        return getattr(LocalStore, name)(self, *args)

    return call


for _name in ("read", "write", "put_if_absent", "exists", "delete", "upload", "download"):
    setattr(PausingStore, _name, _pausing(_name))


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    folder = tmp_path / "payload"
    folder.mkdir()
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def put_unpinned(store: Store, payload: Path, unit: str = UNIT) -> None:
    """As a run left it more than a pin's life ago."""
    put_folder(store, unit, payload, is_pinned=False)


def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return tmp_path / "scratch"


def test_unit_goes_seven_days_after_its_first_mark_and_stays_in_the_trash(
    store: Store, payload: Path, tmp_path: Path
) -> None:
    put_unpinned(store, payload)
    for days, is_removed in ((0, False), (6.9, False), (7.1, True)):
        (fate,) = collect(store, at(days), scratch(tmp_path))
        assert (fate.unit, fate.is_removed) == (UNIT, is_removed)
    assert list(store.list("models")) == []
    assert len(list(store.list("trash"))) == 4
    assert collect(store, at(8), scratch(tmp_path)) == []
    assert len(list(store.list("trash"))) == 4
    collect(store, at(16), scratch(tmp_path))
    assert list(store.list("trash")) == []


def test_looking_changes_nothing(store: Store, payload: Path) -> None:
    put_unpinned(store, payload)
    before = sorted(store.list())
    for days in (0, 30):
        fates, _ = find_garbage(store, at(days))
        assert [(fate.unit, fate.is_due) for fate in fates] == [(UNIT, False)]
    assert sorted(store.list()) == before


def test_use_between_the_marks_starts_the_days_anew(
    store: Store, payload: Path, tmp_path: Path
) -> None:
    put_unpinned(store, payload)
    collect(store, at(-40), scratch(tmp_path))
    assert has_folder(store, UNIT)  # pinned today
    assert collect(store, at(0), scratch(tmp_path)) == []
    assert collect(store, at(29), scratch(tmp_path)) == []
    (fate,) = collect(store, at(32), scratch(tmp_path))
    assert not fate.is_removed
    (fate,) = collect(store, at(40), scratch(tmp_path))
    assert fate.is_removed
    assert list(store.list("pins")) == []


def test_damaged_marks_only_cost_time(tmp_path: Path, payload: Path) -> None:
    store = LocalStore(tmp_path / "store")
    put_unpinned(store, payload)
    collect(store, at(0), scratch(tmp_path))
    flip_byte(store.path(MARKS))
    (fate,) = collect(store, at(8), scratch(tmp_path))
    assert not fate.is_removed


def test_all_that_the_ledger_names_stays_and_a_refused_challenger_goes(
    promoted: World, tmp_path: Path
) -> None:
    """The rival was trained and scored, and is in no ledger; the splits are the champion's too."""
    store, rival = promoted.store, promoted.train(promoted.recipe("train.seed=2"))
    for key in list(store.list("pins")):
        store.delete(key)
    before = set(store.list())
    collect(store, at(0), scratch(tmp_path))
    fates = collect(store, at(8), scratch(tmp_path))
    assert {fate.unit for fate in fates if fate.is_removed} == {rival.model_key}
    gone = before - set(store.list())
    assert {key.split("/")[0] for key in gone} == {
        "models",
        "trains",
        "scores",
        "costs",
        "evaluations",
    }
    for entry in promoted.entries:
        open_folder(store, entry.model_uri, tmp_path / "cache")
    assert promoted.run(promoted.recipe()).outcome == "unchanged"
    again = promoted.train(promoted.recipe("train.seed=2"))
    assert again.model_digest == rival.model_digest, "made anew"


def test_a_challenger_that_waits_for_a_person_stays_until_it_is_refused(
    promoted: World, tmp_path: Path
) -> None:
    asked = promoted.run(promoted.recipe(RIVAL, "gate.approval=required"))
    assert asked.outcome == "waiting"
    store = promoted.store
    for key in list(store.list("pins")):
        store.delete(key)
    for days in (0, 8):
        assert collect(store, at(days), scratch(tmp_path)) == []
    answer(store, NAME, asked.decision_digest, is_approved=False, approver="ann", reason="not yet")
    collect(store, at(9), scratch(tmp_path))
    (fate,) = collect(store, at(17), scratch(tmp_path))
    assert fate.is_removed
    assert fate.unit.startswith("models/")


def test_nothing_is_removed_while_a_ledger_does_not_hold(promoted: World, tmp_path: Path) -> None:
    for key in list(promoted.store.list("pins")):
        promoted.store.delete(key)
    collect(promoted.store, at(0), scratch(tmp_path))
    flip_byte(promoted.path(f"ledger/{NAME}/000000000001.json"))
    before = sorted(promoted.store.list())
    with pytest.raises(LedgerCorrupt):
        collect(promoted.store, at(8), scratch(tmp_path))
    assert [key for key in sorted(promoted.store.list()) if "locks/" not in key] == before


def marked(tmp_path: Path, payload: Path, number: int) -> LocalStore:
    """A store whose unit is due tomorrow week."""
    store = LocalStore(tmp_path / f"store{number}")
    put_unpinned(store, payload)
    collect(store, at(0), scratch(tmp_path))
    return store


def test_writer_that_comes_at_any_moment_of_a_collection_finds_or_makes_its_payload(
    tmp_path: Path, payload: Path
) -> None:
    """The collection stops before each of its operations in turn, and a whole writer runs."""
    removed, number = 0, 0
    while True:
        number += 1
        store = marked(tmp_path, payload, number)

        def write(store: LocalStore = store) -> None:
            put_folder(store, UNIT, payload)

        pausing = PausingStore(store.folder, number, write)
        fates = collect(pausing, at(8), scratch(tmp_path))
        if pausing.count[0] < number:
            break  # the collection had fewer operations
        removed += any(fate.is_removed for fate in fates)
        assert (open_folder(store, UNIT, tmp_path) / "a.bin").is_file(), f"operation {number}"
    assert number > 15
    assert removed > 0, "some writers came too late for a pin, and made their payload anew"


def test_collection_that_comes_at_any_moment_of_a_writer_leaves_it_whole(
    tmp_path: Path, payload: Path
) -> None:
    number = 0
    while True:
        number += 1
        store = marked(tmp_path, payload, number)

        def sweep(store: LocalStore = store) -> None:
            collect(store, at(8), scratch(tmp_path))

        pausing = PausingStore(store.folder, number, sweep)
        put_folder(pausing, UNIT, payload)
        if pausing.count[0] < number:
            break
        open_folder(store, UNIT, tmp_path)
    assert number >= 3


def test_writers_and_collections_at_once_leave_a_whole_payload(
    tmp_path: Path, payload: Path
) -> None:
    for number in range(40):
        store = marked(tmp_path, payload, number)
        start = threading.Barrier(3)
        errors: list[BaseException] = []

        def write(store: LocalStore = store, start: threading.Barrier = start) -> None:
            start.wait(20)
            put_folder(store, UNIT, payload)

        def sweep(store: LocalStore = store, start: threading.Barrier = start) -> None:
            start.wait(20)
            collect(store, at(8), scratch(tmp_path))

        def guarded(work: Callable[[], None], errors: list[BaseException] = errors) -> None:
            try:
                work()
            except BaseException as exc:
                errors.append(exc)

        threads = [threading.Thread(target=guarded, args=(w,)) for w in (write, write, sweep)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert (open_folder(store, UNIT, tmp_path) / MANIFEST).is_file()


def test_killed_collection_leaves_nothing_that_a_writer_cannot_complete(
    tmp_path: Path, payload: Path
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    number = 0
    while True:
        number += 1
        store = marked(tmp_path, payload, number)
        pausing = dataclasses.replace(
            PausingStore(store.folder), pause_at=number, meanwhile=die, count=[0]
        )
        try:
            collect(pausing, at(8), scratch(tmp_path))
        except Killed:
            put_folder(store, UNIT, payload)
            open_folder(store, UNIT, tmp_path)
        else:
            break
    assert number > 10
