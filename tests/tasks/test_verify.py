"""Verify: a flipped byte anywhere is found, named and, where that can be, mended by a rerun."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from records.approval import Answer
from records.base import file_sha256
from records.evaluation import IndexEntry
from records.search import Trial
from tasks.approval import answer, ask, asks
from tasks.checkpoints import CheckpointWriter
from tasks.decide import decide_challenger
from tasks.judge import Verdict
from tasks.objects import CorruptObject, Store
from tasks.payload import open_folder, put_folder
from tasks.projection import note_version
from tasks.stamped import write_stamped
from tasks.verify import Damage, find_all_damage, set_aside
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]

CHECKED = {
    "snapshots", "data", "bases", "models", "checkpoints", "trains", "scores", "costs",
    "evaluations", "judgements", "registered", "decisions", "ledger", "approvals", "searches",
}  # fmt: skip
ANSWER = "approvals/{}/{}/answer.json"


def add_the_rest(world: World, folder: Path) -> None:
    """One of each kind that a plain promotion leaves none of behind."""
    store, live = world.store, world.entries[-1]
    for name in ("checkpoint-7", "base"):
        (folder / name).mkdir()
        (folder / name / "numbers.json").write_text("{}")
    put_folder(store, "bases/drawn", folder / "base")
    with CheckpointWriter(store, live.train_key) as writer:
        writer.put(folder / "checkpoint-7")
    verdict = Verdict(letter="A", num_tokens=1, reply_digest="d")
    write_stamped(store, f"judgements/{live.model_digest}/asked/d.json", verdict)
    trial = Trial(
        number=0, seed=1, settings={}, state="finished", points=((1, 0.5),), best_value=0.5,
        wall_s=1.0,
    )  # fmt: skip
    write_stamped(store, "searches/s/trial-0.json", trial)
    note_version(store, NAME, live, "9")
    ask(store, NAME, live.decision_digest, "", 1.0)
    approve(store, live.decision_digest)


def approve(store: Store, digest: str) -> Answer:
    return answer(store, NAME, digest, is_approved=True, approver="Ann Lee", reason="read it")


def damage_in(world: World, tmp_path: Path) -> list[Damage]:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return list(find_all_damage(world.store, tmp_path / "scratch"))


def mend(world: World, tmp_path: Path) -> list[bool]:
    now = datetime.now(UTC)
    return [
        set_aside(world.store, d, now, tmp_path / "scratch") for d in damage_in(world, tmp_path)
    ]


def test_every_byte_of_the_store_is_covered(promoted: World, tmp_path: Path) -> None:
    """All but what nothing is decided from: reports, outputs, names, attempts, pins, locks, the watcher's."""
    add_the_rest(promoted, tmp_path)
    assert {key.split("/")[0] for key in promoted.store.list()} >= CHECKED
    assert damage_in(promoted, tmp_path) == []
    for key in list(promoted.store.list()):
        if key.split("/")[0] not in CHECKED:
            continue
        path = promoted.path(key)
        before = path.read_bytes()
        flip_byte(path)
        found = damage_in(promoted, tmp_path)
        assert found, f"a flipped byte in {key} was not found"
        assert any(key == d.key or key in d.what or d.key in key for d in found), (key, found)
        assert all(d.mend for d in found)
        path.write_bytes(before)
    assert damage_in(promoted, tmp_path) == []


def test_changed_approver_is_never_read_and_stops_nobody_else(
    promoted: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An approval is made twice: one is changed, the other was written before there were stamps."""
    store = promoted.store
    changed, older = (entry.decision_digest for entry in (promoted.entries[-1], second(promoted)))
    given = {}
    for digest in (changed, older):
        ask(store, NAME, digest, "", 1.0)
        given[digest] = approve(store, digest)
    path = promoted.path(ANSWER.format(NAME, changed))
    path.write_bytes(path.read_bytes().replace(b"Ann Lee", b"Eve Lee"))
    store.write(ANSWER.format(NAME, older), given[older].to_json())

    assert [found for _, found in asks(store)] == [given[older]]
    assert "was changed: its bytes are not those of its sha256" in caplog.text
    with pytest.raises(CorruptObject, match=f"approvals/{NAME}/{changed}/answer.json was changed"):
        approve(store, changed)
    (found,) = damage_in(promoted, tmp_path)
    assert found.key == ANSWER.format(NAME, changed)
    assert "the person is asked again" in found.mend
    assert mend(promoted, tmp_path) == [True]
    assert approve(store, changed).approver == "Ann Lee"


def second(world: World) -> IndexEntry:
    """A decision beside the champion's: the rival's."""
    recipe = world.recipe(RIVAL)
    rival = world.train(recipe)
    entry, _ = decide_challenger.fn(
        world.place, NAME, world.data(recipe), world.evaluate(recipe, rival),
        recipe.gate.policy, "1", rival.train_key,
    )  # fmt: skip
    return entry


def test_what_a_rerun_makes_anew_is_set_aside_and_made_anew(
    promoted: World, tmp_path: Path
) -> None:
    rival = promoted.recipe(RIVAL)
    result = promoted.train(rival)
    data = promoted.data(rival)
    payloads = {
        f"snapshots/{data.snapshot.snapshot_digest}": "rows.parquet",
        f"data/{data.data_key}": "train.parquet",
        result.model_key: "model.safetensors",
    }

    def files() -> list[Path]:
        return [
            open_folder(promoted.store, prefix, promoted.place.cache) / name
            for prefix, name in payloads.items()
        ]

    kept = {path.relative_to(promoted.store.folder).as_posix() for path in files()}
    kept.add(f"trains/{result.train_key}.json")
    digests = [file_sha256(path) for path in files()]
    for key in kept:
        flip_byte(promoted.path(key))
    with pytest.raises(
        CorruptObject, match=r"trains/.*; set it aside with `refit verify --set-aside"
    ):
        promoted.train(rival)
    assert mend(promoted, tmp_path) == [True] * 4
    assert not any(promoted.store.exists(key) for key in kept)
    assert damage_in(promoted, tmp_path) == []
    assert promoted.train(rival).model_digest == result.model_digest
    assert [file_sha256(path) for path in files()] == digests
    assert len([key for key in promoted.store.list("trash") if key.split("/", 2)[2] in kept]) == 4


def test_decision_is_restored_from_its_report(promoted: World, tmp_path: Path) -> None:
    digest = promoted.entries[-1].decision_digest
    expected = promoted.decision(digest)
    path = promoted.path(f"decisions/{NAME}/{digest}/decision.json")
    flip_byte(path)
    (found,) = damage_in(promoted, tmp_path)
    assert "takes it from its report" in found.mend
    assert mend(promoted, tmp_path) == [True]
    assert promoted.decision(digest) == expected
    path.unlink()
    assert mend(promoted, tmp_path) == [True]
    assert promoted.decision(digest) == expected


def test_ledger_and_champions_model_are_never_touched(promoted: World, tmp_path: Path) -> None:
    live = promoted.entries[-1]
    flip_byte(promoted.path(f"{live.model_uri}/config.json"))
    (found,) = damage_in(promoted, tmp_path)
    assert "is or was a champion" in found.mend
    assert mend(promoted, tmp_path) == [False]
    flip_byte(promoted.path(f"{live.model_uri}/config.json"))
    flip_byte(promoted.path(f"ledger/{NAME}/000000000001.json"))
    keys = sorted(promoted.store.list())
    assert not any(mend(promoted, tmp_path))
    assert sorted(promoted.store.list()) == keys


def test_gone_files_of_a_champion_are_damage(promoted: World, tmp_path: Path) -> None:
    live = promoted.entries[-1]
    promoted.store.delete(f"{live.model_uri}/manifest.json")
    (found,) = damage_in(promoted, tmp_path)
    assert found.key == live.model_uri
    assert "ledger/tiny/000000000002.json names it" in found.what
