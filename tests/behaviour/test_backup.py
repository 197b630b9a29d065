"""Saved by the guide's commands, deleted, restored by the guide's commands: nothing is lost.

The world's MLflow keeps its artifacts outside the home, so that these are not deleted here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from records.base import file_sha256
from tests.documented import commands
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def sh(script: str, world: World, folder: Path) -> str:
    """What the commands print; they must end well."""
    ours = ("REFIT_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL")
    outer = {name: value for name, value in os.environ.items() if name not in ours}
    path = f"{Path(sys.executable).parent}:{outer['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script], cwd=folder, capture_output=True, text=True,
        env={**outer, "REFIT_HOME": str(world.home), "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in folder.rglob("*") if p.is_file()}


def test_a_restored_home_has_the_same_champion_and_nothing_new_to_do(
    promoted: World, tmp_path: Path
) -> None:
    # Each by a name of its own: MLflow keeps a database open by its name, even when it is deleted.
    before = World(tmp_path / "before", promoted.files)
    after = World(tmp_path / "after", promoted.files)
    before.home.symlink_to(promoted.home)
    after.home.symlink_to(promoted.home)
    throne, files = before.throne(), files_of(promoted.home / "store")

    sh(commands("operations.md", "save"), promoted, tmp_path)
    shutil.rmtree(promoted.home)
    restored = sh(commands("operations.md", "restore", reviews=NAME), promoted, tmp_path)

    assert "verified: every object holds" in restored
    assert "verified: 2 entries, an unbroken chain" in restored
    assert f"models:/{NAME}@champion is version 2" in restored
    assert after.throne() == throne
    assert files_of(promoted.home / "store").items() >= files.items()
    result = after.run(promoted.recipe())
    assert (result.outcome, result.version) == ("unchanged", "2")
