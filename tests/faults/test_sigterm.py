"""SIGTERM in the middle of a training: a checkpoint within ten seconds, exit 1, and a rerun goes on."""

import re
import signal
import time
from pathlib import Path

from tests.faults.conftest import RECIPE
from tests.faults.runs import Zygote
from tests.world import World

pytest_plugins = ["tests.worlds"]

ARGUMENTS = ("run", RECIPE, "--set", "train.epochs=10")


def test_run_ends_within_ten_seconds_of_sigterm_and_goes_on_where_it_stopped(
    start_world: World, world: World, zygote: Zygote, tmp_path: Path
) -> None:
    undisturbed = start_world.copy_to(tmp_path / "undisturbed")
    whole = zygote.start(undisturbed, *ARGUMENTS)
    assert whole.wait() == 0, whole.said
    command = zygote.start(world, *ARGUMENTS)
    command.wait_for("step 22 of 220")
    asked = time.monotonic()
    command.kill(signal.SIGTERM)
    assert command.wait() == 1, command.said
    assert time.monotonic() - asked < 10
    found = re.search(
        r"SIGTERM ended the training after step (\d+) of 220; run again", command.said
    )
    assert found, command.said
    (folder,) = world.path("checkpoints").glob(f"*/{int(found[1]):09d}-*")
    assert (folder / "manifest.json").is_file()
    assert len(world.entries) == 1

    again = zygote.start(world, *ARGUMENTS)
    assert again.wait() == 0, again.said
    assert f"going on from the checkpoint of step {found[1]}" in again.said
    assert world.alias == "2"
    assert world.entries[-1].model_digest == undisturbed.entries[-1].model_digest
    assert not world.path("checkpoints").exists() or not list(world.store.list("checkpoints"))
