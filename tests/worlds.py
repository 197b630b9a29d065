"""Fixtures: homes with champions in them, made once per session and copied for who changes them.

Real MLflow on SQLite, a real folder store, a real Prefect server, tiny models: version 1 was there
before refit and was adopted, version 2 was promoted by the flow, and a third model, the rival, is
trained and scored but was never judged. A test file says `pytest_plugins = ["tests.worlds"]`; the
others need not wait for the libraries that this one loads.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from models.base import resolve_base
from models.config import BaseConfig, TrainConfig
from models.task_code import Examples
from models.train import train
from records.base import digest_of, file_sha256
from tasks.changes import adopt
from tests.client_of import let_events_go
from tests.tiny import write_agreement_csv, write_base, write_csv
from tests.world import NAME, NUM_TEST, RIVAL, TRAINING, World


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One temporary Prefect server with a database of its own."""
    # Tasks log outside a flow too, where tests call them by `.fn`.
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}),
    ):
        yield
        let_events_go()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model, and data that it learns: good and noisy training rows, one test file."""
    folder = tmp_path_factory.mktemp("files")
    write_base(folder / "base")
    write_csv(folder / "good.csv", num_rows=800)
    write_csv(folder / "older.csv", num_rows=800, first=10_000)
    write_csv(folder / "noisy.csv", num_rows=800, noise=1)
    write_csv(folder / "test.csv", num_rows=NUM_TEST, first=5000)
    write_agreement_csv(folder / "agreement.csv", num_rows=800)
    write_agreement_csv(folder / "agreement_test.csv", num_rows=NUM_TEST, first=5000)
    return folder


@pytest.fixture(scope="session")
def adopted_world(tmp_path_factory: pytest.TempPathFactory, files: Path) -> World:
    """Version 1 was live before refit, and was adopted: the ledger's only entry."""
    world = World(tmp_path_factory.mktemp("adopted") / "home", files)
    world.home.mkdir()
    mlflow.set_system_metrics_sampling_interval(1)  # a tiny training ends before the usual 10 s
    model = _train_by_hand(world, seed=7)
    digest = digest_of({p.name: file_sha256(p) for p in sorted(model.iterdir())})
    registry = world.registry
    with registry.training_run(experiment=NAME, train_key="by hand", params={}, tags={}) as run:
        run_id = run.run_id
    version = registry.register(
        name=NAME, model_path=model, model_digest=digest, run_id=run_id,
        description="Was there before.", tags={},
    )  # fmt: skip
    adopt(world.place, NAME, version, actor="ann", reason="was live before")
    return world


@pytest.fixture(scope="session")
def promoted_world(
    tmp_path_factory: pytest.TempPathFactory, adopted_world: World, prefect_server: None
) -> World:
    """Version 2 was promoted by the flow; the rival is trained and scored."""
    world = adopted_world.copy_to(tmp_path_factory.mktemp("promoted") / "home")
    result = world.run(world.recipe())
    assert result.outcome == "promoted", result.summary
    rival = world.recipe(RIVAL)
    world.evaluate(rival, world.train(rival))
    return world


@pytest.fixture
def adopted(adopted_world: World, tmp_path: Path) -> World:
    """A copy of adopted_world that the test may change."""
    return adopted_world.copy_to(tmp_path / "home")


@pytest.fixture
def promoted(promoted_world: World, tmp_path: Path) -> World:
    """A copy of promoted_world that the test may change."""
    return promoted_world.copy_to(tmp_path / "home")


def _train_by_hand(world: World, seed: int) -> Path:
    with (world.files / "older.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = Examples([row["text"] for row in rows], [row["label"] for row in rows])
    out = world.home / "by-hand"
    train(
        config=TrainConfig(**{**TRAINING, "seed": seed}),
        base=resolve_base(BaseConfig(model=str(world.files / "base"))),
        labels=("negative", "positive"),
        training=texts,
        validation=texts,
        lineage=frozenset(),
        out=out,
        work=world.home / "work",
    )
    return out
