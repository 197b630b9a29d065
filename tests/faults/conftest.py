"""One zygote, and the world that every killed run starts in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL

from tests.faults.runs import Zygote
from tests.world import World

RECIPE = "recipe.yaml"
OVERRIDES = ("train.epochs=2", "train.average_decay=0.9", "train.dropout=0.1")


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Zygote]:
    """Forks `refit` commands that use the test's Prefect server."""
    folder = tmp_path_factory.mktemp("zygote")
    environment = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "OMP_NUM_THREADS": "1"}
    with Zygote.started(folder, environment) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def start_world(tmp_path_factory: pytest.TempPathFactory, adopted_world: World) -> World:
    """Version 1 is live; `recipe.yaml` is a recipe whose challenger will be promoted."""
    world = adopted_world.copy_to(tmp_path_factory.mktemp("start") / "home")
    values = world.recipe(*OVERRIDES).model_dump(mode="json")
    (world.home / RECIPE).write_text(yaml.safe_dump(values), "utf-8")
    return world


@pytest.fixture
def world(start_world: World, tmp_path: Path) -> World:
    """A copy of it for one test."""
    return start_world.copy_to(tmp_path / "home")
