"""Verify: a flipped byte anywhere is found, named and, where that can be, mended by a rerun."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from records.base import file_sha256
from tasks.objects import CorruptObject
from tasks.verify import Damage, find_all_damage, set_aside
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]

CHECKED = (
    "snapshots", "data", "models", "trains", "scores", "costs", "evaluations", "decisions", "ledger",
)  # fmt: skip


def damage_in(world: World, tmp_path: Path) -> list[Damage]:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return list(find_all_damage(world.store, tmp_path / "scratch"))


def mend(world: World, tmp_path: Path) -> list[bool]:
    now = datetime.now(UTC)
    return [
        set_aside(world.store, d, now, tmp_path / "scratch") for d in damage_in(world, tmp_path)
    ]


def test_every_byte_of_the_store_is_covered(promoted: World, tmp_path: Path) -> None:
    """All but what nothing is computed from: reports, names, pins, MLflow's own files."""
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


def test_what_a_rerun_makes_anew_is_set_aside_and_made_anew(
    promoted: World, tmp_path: Path
) -> None:
    rival = promoted.recipe(RIVAL)
    result = promoted.train(rival)
    data = promoted.data(rival)
    kept = {
        f"snapshots/{data.snapshot.snapshot_digest}/rows.parquet",
        f"data/{data.data_key}/train.parquet",
        f"{result.model_key}/model.safetensors",
        f"trains/{result.train_key}.json",
    }
    digests = {key: file_sha256(promoted.path(key)) for key in kept if "trains" not in key}
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
    assert {key: file_sha256(promoted.path(key)) for key in digests} == digests
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
