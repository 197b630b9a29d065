"""Scores come from saved artifacts in fresh processes, on items that nobody was trained on."""

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest

from models.gate import decide
from records.base import digest_of, file_sha256
from records.decision import Decision
from records.evaluation import Evaluation
from records.ledger import LedgerEntry
from records.policy import SlicePolicy
from records.text import group_of
from tasks.check import read_split
from tasks.decide import gather
from tasks.evaluate import ScoringCrashed, overlap, run_fresh, test_items
from tasks.ledger import append
from tasks.promote import draft_entry
from tasks.stamped import read_stamped
from tasks.store import put_folder
from tests.tasks.obedient import Ask
from tests.world import NAME, NUM_TEST, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

OBEDIENT = "tests.tasks.obedient"
test_items.__test__ = False  # type: ignore[attr-defined]  # a function of the room, not a test


def test_run_fresh_gives_the_result_of_another_process(tmp_path: Path) -> None:
    assert run_fresh(OBEDIENT, Ask(answer="42"), tmp_path) == b"42"


def test_run_fresh_says_how_a_process_failed(tmp_path: Path) -> None:
    assert run_fresh(OBEDIENT, Ask(code=1), tmp_path) == f"{OBEDIENT} failed: told to exit with 1"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_fresh_takes_a_signal_for_a_fault(tmp_path: Path, number: int) -> None:
    with pytest.raises(ScoringCrashed, match=f"killed by signal {int(number)}; run again"):
        run_fresh(OBEDIENT, Ask(signal=number), tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        "MemoryError",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
        "OSError: [Errno 28] No space left on device: '/tmp/result.json'",
    ],
)
def test_run_fresh_takes_a_machine_without_room_for_a_fault(tmp_path: Path, words: str) -> None:
    """A verdict over it would stand after the room is there again."""
    with pytest.raises(ScoringCrashed, match=r"had no room: .*; make some and run again"):
        run_fresh(OBEDIENT, Ask(code=1, words=words), tmp_path)


def test_overlap_counts_test_groups_in_each_lineage(tmp_path: Path) -> None:
    folders = {}
    for role, groups in {"challenger": ["b", "x"], "champion": ["b", "c"]}.items():
        folders[role] = tmp_path / role
        folders[role].mkdir()
        lineage = {"groups": groups, "is_complete": role == "champion"}
        (folders[role] / "lineage.json").write_text(json.dumps(lineage), "utf-8")
    folders["anchor"] = tmp_path
    report, together = overlap(
        pd.DataFrame({"group": ["a", "b", "b", "c", "d"], "text_key": [*"vwxyz"]}), folders
    )
    assert together == {"b", "c"}
    assert report.num_test_groups == 4
    assert report.num_dropped == {"challenger": 1, "champion": 2, "anchor": 0}
    assert report.num_dropped_total == 2
    assert report.unknown == ("challenger", "anchor")


def test_overlap_finds_a_text_that_was_grouped_otherwise_in_training(tmp_path: Path) -> None:
    """The base learned texts; here a document is a group."""
    lineage = {"groups": [group_of("A  Text")], "is_complete": True}
    (tmp_path / "lineage.json").write_text(json.dumps(lineage), "utf-8")
    texts = ["new", "a text", "other"]
    groups = ["doc 1", "doc 1", "doc 2"]
    test = pd.DataFrame({"group": groups, "text_key": [group_of(text) for text in texts]})
    assert overlap(test, {"challenger": tmp_path})[1] == {"doc 1"}


def test_items_take_declared_slices_in_the_order_of_the_rows() -> None:
    rows = pd.DataFrame(
        {
            "item_id": ["i2", "i1"],
            "group": ["g2", "g1"],
            "label": ["b", "a"],
            "text": ["x" * 21, "y"],
            "attribute.lang": ["en", None],
        }
    )
    items = test_items(rows, SlicePolicy(columns=("label", "length", "lang")), "classification")
    assert items.item_ids == ("i2", "i1")
    assert items.slices == {
        "length": ("21-60 characters", "0-20 characters"),
        "lang": ("en", "(none)"),
    }
    with pytest.raises(ValueError, match="'color' is no attribute"):
        test_items(rows, SlicePolicy(columns=("color",)), "classification")


def crown(world: World, name: str, content: bytes) -> LedgerEntry:
    """Make champion, by override, the rival's model with one file changed and a manifest of its own."""
    source = world.path(world.train(world.recipe(RIVAL)).model_key)
    folder = world.home / "changed"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("manifest.json"))
    (folder / name).write_bytes(content)
    digest = digest_of({p.name: file_sha256(p) for p in sorted(folder.iterdir())})
    put_folder(world.store, f"models/{digest}", folder)
    draft = draft_entry(
        action="override", version="9", model_digest=digest, model_uri=f"models/{digest}",
        actor="ann", reason="for the test",
    )  # fmt: skip
    return append(world.store, NAME, draft, decided_against=world.entries[-1])


def evaluated(world: World) -> Evaluation:
    """The rival, the crowned champion and the anchor, scored."""
    recipe = world.recipe(RIVAL)
    return read_stamped(world.store, world.evaluate(recipe, world.train(recipe)), Evaluation)


def verdict(world: World, found: Evaluation, **policy: float) -> Decision:
    recipe = world.recipe(RIVAL)
    changed = recipe.gate.model_copy(update=policy)
    return decide(gather(world.store, NAME, world.data(recipe), found, changed, "1"))


def test_test_groups_in_a_lineage_are_dropped_counted_and_refused_above_the_limit(
    promoted: World,
) -> None:
    data = promoted.data(promoted.recipe(RIVAL))
    test = read_split(promoted.store, data.split("test"), promoted.place.cache)
    seen = sorted(test["group"])[:3]
    lineage = json.dumps({"groups": [*seen, "elsewhere"], "is_complete": True}).encode()
    crown(promoted, "lineage.json", lineage)
    found = evaluated(promoted)

    assert found.lineage.num_dropped == {"challenger": 0, "champion": 3, "anchor": 0}
    assert (found.lineage.num_test_groups, found.lineage.num_dropped_total) == (NUM_TEST, 3)
    assert len(found.items.item_ids) == NUM_TEST - 3
    assert not set(seen) & set(found.items.groups)
    for card in found.cards:
        assert card.item_ids == found.items.item_ids
        assert not card.error
    # 3 of 240 are 1.25 %: over the default limit of 1 %, below one of 2 %.
    refused = verdict(promoted, found)
    assert [finding.rule for finding in refused.refusals] == ["lineage"]
    assert verdict(promoted, found, max_overlap=0.02).verdict == "promote"


def test_what_other_code_measured_is_measured_anew(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(promoted)
    before = set(promoted.store.list("costs"))
    evaluated(promoted)
    assert set(promoted.store.list("costs")) == before
    monkeypatch.setattr("tasks.evaluate.code_digest", lambda *modules: "other", raising=False)
    evaluated(promoted)
    assert len(set(promoted.store.list("costs")) - before) == 1


def test_a_model_that_crashes_its_scoring_process_is_refused(promoted: World) -> None:
    broken = crown(promoted, "tokenizer.json", b"{}")
    found = evaluated(promoted)
    card = found.card("champion")
    assert card is not None
    assert card.error
    assert card.predicted == ()
    decision = verdict(promoted, found)
    assert (decision.verdict, decision.kind) == ("refuse", "broken")
    assert not list(promoted.store.list(f"scores/{broken.model_digest}")), "a failure is not kept"
