"""Two processes promote at the same moment: one champion, and the other one knows.

The two live through all trials. A barrier inside the store's conditional write brings both to the
server together, so that every trial is a race and none is decided by who read the head first.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import cast

import pytest

from records.ledger import LedgerEntry
from tasks.ledger import ChampionChanged, append, head, history, verify
from tasks.store import LocalStore, S3Store, Store, open_store

NUM_TRIALS = 100
NUM_LEDGERS = 10
WAIT_S = 60.0

Trial = tuple[str, LedgerEntry | None, LedgerEntry]
Outcome = tuple[str, LedgerEntry | None]


@dataclass(frozen=True)
class MeetingStore:
    """A store whose conditional writes wait for the rival's."""

    real: Store
    barrier: Barrier

    @property
    def uri(self) -> str:
        return self.real.uri

    def read(self, key: str) -> bytes:
        return self.real.read(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        return self.real.list(prefix)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.barrier.wait(WAIT_S)
        return self.real.put_if_absent(key, data)


def promote_all(
    real: Store, barrier: Barrier, trials: "Queue[Trial | None]", outcomes: "Queue[Outcome]"
) -> None:
    """One process: appends what it is told until None, and says how each ended."""
    store = cast(Store, MeetingStore(real, barrier))  # append needs no more of it
    for name, against, draft in iter(trials.get, None):
        try:
            won = append(store, name, draft, decided_against=against)
            outcomes.put(("won", won))
        except ChampionChanged as exc:
            outcomes.put(("lost", exc.now))
        except Exception as exc:
            outcomes.put((repr(exc), None))


@contextmanager
def two_processes(store: Store) -> Iterator[Callable[[list[Trial]], list[Outcome]]]:
    """A function that gives each process its trial and returns both outcomes."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    trials: list[Queue[Trial | None]] = [spawn.Queue(), spawn.Queue()]
    outcomes: list[Queue[Outcome]] = [spawn.Queue(), spawn.Queue()]
    processes = [
        spawn.Process(target=promote_all, args=(store, barrier, *queues), daemon=True)
        for queues in zip(trials, outcomes, strict=True)
    ]

    def race(pair: list[Trial]) -> list[Outcome]:
        for queue, trial in zip(trials, pair, strict=True):
            queue.put(trial)
        return [queue.get(timeout=2 * WAIT_S) for queue in outcomes]

    for process in processes:
        process.start()
    try:
        yield race
    finally:
        for queue in trials:
            queue.put(None)
        for process in processes:
            process.join(WAIT_S)
            process.kill()


def draft(decision: str) -> LedgerEntry:
    return LedgerEntry(
        sequence=0, previous_hash="", action="promote", version=decision,
        model_digest=f"m-{decision}", model_uri=f"models/{decision}", decision_digest=decision,
        actor="test", time="2026-01-01T00:00:00Z",
    )  # fmt: skip


def assert_one_winner_each(store: Store) -> None:
    wins = [0, 0]
    with two_processes(store) as race:
        for trial in range(NUM_TRIALS):
            name = f"model-{trial % NUM_LEDGERS}"
            against = head(store, name)
            outcomes = race([(name, against, draft(f"{trial}-{side}")) for side in "ab"])
            assert sorted(word for word, _ in outcomes) == ["lost", "won"], outcomes
            winner = [word for word, _ in outcomes].index("won")
            # The loser is told of the very entry that won, and that entry is the head.
            assert outcomes[0][1] == outcomes[1][1] == head(store, name)
            assert outcomes[0][1] is not None
            assert outcomes[0][1].decision_digest == f"{trial}-{'ab'[winner]}"
            wins[winner] += 1
    for ledger in range(NUM_LEDGERS):
        name = f"model-{ledger}"
        assert verify(store, name) == []
        assert [e.sequence for e in history(store, name)] == list(range(1, 11))
    print(f"{NUM_TRIALS} races on {store.uri}: {wins[0]} and {wins[1]} won")
    assert min(wins) > 0, "one side always won: these were no races"


def test_one_of_two_promotions_wins_on_a_folder(tmp_path: Path) -> None:
    assert_one_winner_each(open_store(str(tmp_path / "store")))


@pytest.mark.service
def test_one_of_two_promotions_wins_on_s3(s3_store: S3Store) -> None:
    # A store of its own for the processes: a client with open sockets cannot travel.
    store = S3Store(s3_store.bucket, "races", s3_store.settings)
    assert_one_winner_each(store)
    store.close()


class OverwritingStore(LocalStore):
    """The fault that must be seen: the condition is dropped."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.write(key, data)
        return True


def test_the_races_would_show_a_store_that_overwrites(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="'won'"):
        assert_one_winner_each(OverwritingStore(tmp_path / "store"))
