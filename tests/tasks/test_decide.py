"""Decisions: once per key, counted, and never to be changed afterwards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.gate import decide
from records.evaluation import IndexEntry
from records.policy import GatePolicy
from tasks.changes import roll_back
from tasks.decide import (
    claim_attempt,
    decide_challenger,
    decision_path,
    find_decision,
    generation,
    read_decision,
    read_index,
)
from tasks.ledger import ChampionChanged
from tasks.store import LocalStore
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def judge(world: World, **policy: object) -> tuple[IndexEntry, bool]:
    recipe = world.recipe(RIVAL)
    rival = world.train(recipe)
    changed = GatePolicy.model_validate({**recipe.gate.policy.model_dump(), **policy})
    key = world.evaluate(recipe, rival)
    return decide_challenger.fn(
        world.place, NAME, world.data(recipe), key, changed, "1", rival.train_key
    )


def test_decide_writes_one_decision_per_key(promoted: World) -> None:
    first, was_there = judge(promoted)
    assert not was_there
    keys = sorted(promoted.store.list("decisions"))
    again, was_there = judge(promoted)
    assert was_there
    assert again == first
    assert sorted(promoted.store.list("decisions")) == keys
    assert len(promoted.index) == 2


def test_each_decision_on_one_snapshot_and_champion_costs_alpha(promoted: World) -> None:
    """The k-th attempt is judged at alpha / (k (k + 1)), whatever its seed or policy."""
    decisions = [judge(promoted, margin=margin)[0] for margin in (0.05, 0.051, 0.052)]
    files = [promoted.decision(entry.decision_digest) for entry in decisions]
    assert [file.record.attempt for file in files] == [1, 2, 3]
    assert [file.record.num_test_uses for file in files] == [1, 2, 3]
    assert [file.decision.alpha_used for file in files] == pytest.approx(
        [0.025, 0.05 / 6, 0.05 / 12]
    )


def test_attempts_decided_at_once_have_different_numbers(tmp_path: Path) -> None:
    """And whoever comes again with the same challenger keeps its own."""
    store = LocalStore(tmp_path)

    def attempt(challenger: str) -> int:
        return claim_attempt(
            store, NAME, rows_and_champion=["rows", "old"], challenger_and_policy=[challenger, "p"]
        )

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(attempt, "abcdefgh"))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [attempt(one) for one in "abcdefgh"] == numbers


def test_an_attempt_has_its_number_although_what_refused_it_is_gone(tmp_path: Path) -> None:
    answers = [False, True, True, True]

    class Conflict(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            return answers.pop(0) and super().put_if_absent(key, data)

    numbers = [
        claim_attempt(
            Conflict(tmp_path), NAME, rows_and_champion=["r"], challenger_and_policy=[challenger]
        )
        for challenger in "ab"
    ]
    assert numbers == [1, 2]


def test_scores_against_yesterdays_champion_decide_nothing(promoted: World) -> None:
    recipe = promoted.recipe(RIVAL)
    rival = promoted.train(recipe)
    key = promoted.evaluate(recipe, rival)
    roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="")
    keys = sorted(promoted.store.list("decisions"))
    with pytest.raises(ChampionChanged, match="evaluate again"):
        decide_challenger.fn(
            promoted.place,
            NAME,
            promoted.data(recipe),
            key,
            recipe.gate.policy,
            "1",
            rival.train_key,
        )
    assert sorted(promoted.store.list("decisions")) == keys


def test_record_holds_what_the_verdict_rests_on(promoted: World) -> None:
    file = promoted.decision(judge(promoted)[0].decision_digest)
    adopted, live = promoted.entries
    record = file.record
    assert record.champion is not None
    assert record.anchor is not None
    assert record.champion.model_digest == live.model_digest
    assert record.anchor.model_digest == record.anchor_digest == adopted.model_digest
    assert (record.ledger_sequence, record.ledger_hash) == (2, live.digest)
    assert record.check_report is not None
    assert record.check_report.passed
    assert record.parity is not None
    assert record.parity.num_compared == record.parity.num_equal_labels == 200
    assert decide(record) == file.decision


def test_read_decision_refuses_a_changed_one(promoted: World) -> None:
    digest = promoted.entries[-1].decision_digest
    path = promoted.path(decision_path(NAME, digest))
    text = path.read_text("utf-8")
    assert '"attempt":1' in text
    path.write_text(text.replace('"attempt":1', '"attempt":2', 1), "utf-8")
    with pytest.raises(ValueError, match="was changed: its bytes have digest"):
        read_decision(promoted.store, NAME, digest)


def test_find_decision_takes_a_prefix_that_names_one(promoted: World) -> None:
    digest = promoted.entries[-1].decision_digest
    assert find_decision(promoted.store, digest[:8]) == (NAME, digest)
    with pytest.raises(ValueError, match="no decision begins with 'zz'"):
        find_decision(promoted.store, "zz")
    judge(promoted)
    with pytest.raises(ValueError, match="2 decisions begin with ''"):
        find_decision(promoted.store, "")


def test_generation_is_the_given_test_file_and_not_where_it_lies(promoted: World) -> None:
    data = promoted.data(promoted.recipe())
    moved = promoted.home / "moved.csv"
    moved.write_bytes((promoted.files / "test.csv").read_bytes())
    other = promoted.data(promoted.recipe(f"data.test={moved}"))
    assert generation(data, "1") == generation(other, "2")
    moved.write_text(moved.read_text("utf-8").replace("5000", "9000"), "utf-8")
    changed = promoted.data(promoted.recipe(f"data.test={moved}"))
    assert generation(changed, "1") != generation(data, "1")
    assert {entry.generation for entry in read_index(promoted.store, NAME)} == {
        generation(data, "1")
    }
