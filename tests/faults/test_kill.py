"""Killed anywhere: one plain rerun ends as if nothing had happened.

The process group of a real `refit run` gets SIGKILL before or after a write to store or registry,
or at a random instant. CI runs a dozen points; `make faults` 60 points and 40 instants.
"""

import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from records.base import file_sha256
from tasks.ledger import champion, verify
from tasks.payload import open_folder
from tasks.registry import TAG_DIGEST
from tests.faults.conftest import RECIPE
from tests.faults.runs import Zygote
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]

IS_FULL = os.environ.get("REFIT_FAULTS") == "all"
NUM_POINTS, NUM_INSTANTS = (60, 40) if IS_FULL else (12, 2)
SEED = 20261124
MAX_DRAWS = 10
"""Instants drawn until one comes before the end of the run: its length varies with the machine's load."""


@dataclass(frozen=True)
class Undisturbed:
    """The run that was never killed: how it ended, its points in order, and how long it took."""

    outcome: dict[str, Any]
    points: list[str]
    wall_s: float


def outcome(world: World) -> dict[str, Any]:
    """All that must be the same, however often the run was killed."""
    live = champion(world.entries)
    assert live is not None
    folder = open_folder(world.store, live.model_uri, world.home / "cache")
    (decision,) = world.index
    assert verify(world.store, NAME) == []
    report = f"reports/{NAME}/{decision.decision_digest}"
    return {
        "weights": file_sha256(folder / "model.safetensors"),
        "ledger": [
            (e.sequence, e.action, e.version, e.model_digest, e.train_key, e.replaces, e.is_anchor)
            for e in world.entries
        ],
        "alias": world.alias,
        "mirror": world.registry.mirrored_head(NAME)[0],
        "versions": [(v.version, v.tags[TAG_DIGEST]) for v in world.registry.versions(NAME)],
        "runs": sorted((r.data.tags["refit.train_key"], r.info.status) for r in world.runs()),
        "verdict": (decision.verdict, decision.decision_digest == live.decision_digest),
        "report": [world.store.exists(f"{report}/{n}") for n in ("document.json", "report.html")],
    }


@pytest.fixture(scope="module")
def undisturbed(
    start_world: World, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    world = start_world.copy_to(tmp_path_factory.mktemp("undisturbed") / "home")
    started = time.monotonic()
    command = zygote.start(world, "run", RECIPE)
    assert command.wait() == 0, command.said
    wall_s = time.monotonic() - started
    points = command.points.read_text("utf-8").splitlines()
    return Undisturbed(outcome(world), points, wall_s)


def spread(points: list[str], number: int) -> list[str]:
    """One point out of each of `number` equal stretches of the run, the same ones every time."""
    draw = random.Random(SEED)
    bounds = [round(i * len(points) / number) for i in range(number + 1)]
    return [draw.choice(points[a:b]) for a, b in pairwise(bounds) if a < b]


def test_run_has_more_points_than_are_killed(
    undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    points = undisturbed.points
    writers = Counter(point.split()[1] for point in points)
    said = ", ".join(f"{number} {writer}" for writer, number in writers.most_common())
    with capsys.disabled():
        print(f"\nkilled at {NUM_POINTS} of {len(points)} points: {said}")
    assert len(set(points)) == len(points) >= NUM_POINTS
    assert len(spread(points, NUM_POINTS)) == NUM_POINTS


@pytest.mark.parametrize("number", range(NUM_POINTS))
def test_run_killed_at_a_write_ends_the_same_when_it_is_run_again(
    world: World, zygote: Zygote, undisturbed: Undisturbed, number: int
) -> None:
    points = spread(undisturbed.points, NUM_POINTS)
    killed = zygote.start(world, "run", RECIPE, kill_at=points[number])
    assert killed.wait() == -9, killed.said
    again = zygote.start(world, "run", RECIPE)
    assert again.wait() == 0, f"killed {points[number]}, then: {again.said}"
    assert outcome(world) == undisturbed.outcome, f"killed {points[number]}"


def killed_at_an_instant(
    start: World, zygote: Zygote, folder: Path, wall_s: float, seed: int
) -> tuple[World, str]:
    """A world whose run really died, and when; an instant after the run's end is drawn again."""
    draw = random.Random(seed)
    for number in range(MAX_DRAWS):
        world = start.copy_to(folder / f"home-{number}")
        delay_s = draw.uniform(0, wall_s)
        command = zygote.start(world, "run", RECIPE)
        time.sleep(delay_s)
        command.kill()
        code = command.wait()
        assert code in (-9, 0), command.said
        if code == -9:
            return world, f"killed after {delay_s:.2f} s"
    raise AssertionError(f"{MAX_DRAWS} runs ended before their instant within {wall_s:.1f} s")


@pytest.mark.parametrize("number", range(NUM_INSTANTS))
def test_run_killed_at_an_instant_ends_the_same_when_it_is_run_again(
    start_world: World, zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path, number: int
) -> None:
    world, when = killed_at_an_instant(
        start_world, zygote, tmp_path, undisturbed.wall_s, SEED + number
    )
    again = zygote.start(world, "run", RECIPE)
    assert again.wait() == 0, f"{when}, then: {again.said}"
    assert outcome(world) == undisturbed.outcome, when
