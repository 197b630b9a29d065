"""Same key, same work: what makes a training another one, and what does not."""

import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models import device
from records.data import DataRef, SnapshotRef
from tasks.check import data_key
from tasks.train import train_key
from tests.world import World

SNAPSHOT = SnapshotRef(snapshot_digest="a" * 64, num_rows=9, files=(), columns=("text", "label"))
BASE_DIGEST = "b" * 64


def key(*overrides: str, snapshot: SnapshotRef = SNAPSHOT, base_digest: str = BASE_DIGEST) -> str:
    """The train key of the tests' recipe, of rows that nobody has to read for it."""
    recipe = World(Path("home"), Path("files")).recipe(*overrides)
    rows = data_key(snapshot, recipe.data, recipe.checks, recipe.split)
    return train_key(
        DataRef.model_construct(snapshot=snapshot, data_key=rows), base_digest, recipe.train
    )


@pytest.mark.parametrize(
    "override",
    [
        "description=in other words",
        "model=another-name",
        "data.train=the/same/rows/elsewhere.csv",
        "base.model=the/same/files/elsewhere",
        "gate.minimum=0.5",
        "gate.margin=0.01",
        "gate.approval=required",
        "gate.slices.columns=[label]",
        "schedule.every_s=3600",
        "notify.refused_in_a_row=9",
        "train.checkpoint_every_s=9",
        "train.budget_s=60",
    ],
)
def test_gate_schedule_texts_and_places_make_no_other_training(override: str) -> None:
    assert key(override) == key()


@pytest.mark.parametrize(
    "override",
    [
        "train.seed=2",
        "train.learning_rate=0.001",
        "train.precision=auto",
        "train.strategy=lora",
        "train.accumulation=2",
        "split.salt=another",
        "checks.max_chars=99",
    ],
)
def test_settings_of_data_and_training_make_another_one(override: str) -> None:
    assert key(override) != key()


def test_other_rows_or_another_base_make_another_one() -> None:
    others = SNAPSHOT.model_copy(update={"snapshot_digest": "c" * 64})
    assert len({key(), key(snapshot=others), key(base_digest="c" * 64)}) == 3


def change_code(patch: pytest.MonkeyPatch, folder: Path) -> None:
    room = shutil.copytree(Path(device.__file__).parent, folder / "models")
    patch.setattr(device, "__file__", str(room / "device.py"))
    assert key() == key()
    with (room / "step.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")


def change_library(name: str) -> Callable[[pytest.MonkeyPatch, Path], None]:
    version = importlib.metadata.version

    def change(patch: pytest.MonkeyPatch, folder: Path) -> None:
        patch.setattr(
            importlib.metadata, "version", lambda asked: "0" if asked == name else version(asked)
        )

    return change


def change_device(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(device, "device_class", lambda: "cuda:another card")


def change_world_size(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(device.torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    "change",
    [
        change_code, change_library("torch"), change_library("peft"),
        change_library("scikit-learn"), change_device, change_world_size,
    ],
)  # fmt: skip
def test_other_code_libraries_or_devices_make_another_one(
    change: Callable[[pytest.MonkeyPatch, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before = key()
    change(monkeypatch, tmp_path)
    assert key() != before
