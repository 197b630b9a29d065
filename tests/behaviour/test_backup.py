"""Saved by the guide's commands, deleted, restored by the guide's commands: nothing is lost.

The world's MLflow keeps its artifacts outside the home, so that these are not deleted here; those of
the real stack lie in the bucket, which is.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from prefect.client.orchestration import get_client

from deployments.local import stack as local
from deployments.local.processes import Processes, answers
from deployments.local.stack import Stack, s3_settings
from flows.deploy import deploy
from flows.pools import ensure_pool
from flows.recipe import Recipe
from flows.retrain import retrain
from flows.settings import clean_environment, load_place
from records.base import file_sha256
from records.evaluation import RunResult
from tasks.registry import Registry
from tasks.store import S3Store
from tests.client_of import client_of
from tests.documented import commands
from tests.faults.served import HEALTH, child_of
from tests.services import need
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def sh(script: str, folder: Path, **variables: str) -> str:
    """What the commands print; they must end well."""
    ours = ("REFIT_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL")
    outer = {name: value for name, value in os.environ.items() if name not in ours}
    path = f"{Path(sys.executable).parent}:{outer['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script], cwd=folder, capture_output=True, text=True,
        env={**outer, **variables, "PATH": path},
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

    home = {"REFIT_HOME": str(promoted.home)}

    sh(commands("operations.md", "save"), tmp_path, **home)
    shutil.rmtree(promoted.home)
    restored = sh(commands("operations.md", "restore", reviews=NAME), tmp_path, **home)

    assert "verified: every object holds" in restored
    assert "verified: 2 entries, an unbroken chain" in restored
    assert f"models:/{NAME}@champion is version 2" in restored
    assert after.throne() == throne
    assert files_of(promoted.home / "store").items() >= files.items()
    result = after.run(promoted.recipe())
    assert (result.outcome, result.version) == ("unchanged", "2")


class Production:
    """What a team runs: PostgreSQL, S3, a Prefect server and an MLflow server."""

    def __init__(self, stack: Stack, processes: Processes, folder: Path) -> None:
        assert stack.postgres is not None
        assert stack.s3 is not None
        self.stack, self.processes, self.folder = stack, processes, folder
        self.bucket = S3Store(local.BUCKET, "", s3_settings(stack.s3))
        url = urlsplit(stack.postgres.url(""))
        self.postgres = {
            "PGHOST": "127.0.0.1", "PGPORT": str(url.port), "PGUSER": str(url.username),
            "PGPASSWORD": str(url.password),
        }  # fmt: skip

    def sh(self, label: str, **replaced: str) -> str:
        """The guide's commands, as an operator with these variables runs them."""
        variables = {**clean_environment(), **self.stack.environment(), **self.postgres}
        return sh(commands("operations.md", label, **replaced), self.folder, **variables)

    def run(self, recipe: Recipe) -> RunResult:
        with client_of(self.stack.environment()):
            return retrain(recipe.model_dump(mode="json"), actor="ann", reason="")

    def stop(self) -> None:
        for name in ("prefect", "mlflow"):
            child_of(self.processes, name).stop()

    def start(self) -> None:
        urls = {"prefect": self.stack.prefect_url, "mlflow": self.stack.mlflow_url}
        for name, url in urls.items():
            port = urlsplit(url).port
            assert port is not None
            child = child_of(self.processes, name).again()
            self.processes.wait_ready(child, lambda p=port, n=name: answers(p, HEALTH[n]), 120)

    def delete_everything(self) -> None:
        for key in list(self.bucket.list()):
            self.bucket.delete(key)
        connection = psycopg2.connect(
            dbname="postgres", host=self.postgres["PGHOST"], port=self.postgres["PGPORT"],
            user=self.postgres["PGUSER"], password=self.postgres["PGPASSWORD"],
        )  # fmt: skip
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in ("prefect", "mlflow"):
                cursor.execute(f"drop database {name}")
        connection.close()
        shutil.rmtree(self.stack.home / "cache")  # copies that a run would not fetch again

    def objects(self) -> dict[str, bytes]:
        """Of the store, and MLflow's artifacts."""
        return {key: self.bucket.read(key) for key in self.bucket.list()}

    def facts(self) -> dict[str, Any]:
        """All that must be there again."""
        with client_of(self.stack.environment()), get_client(sync_client=True) as client:
            registry = Registry(load_place())
            versions = registry.versions(NAME)
            experiment = registry.client.get_experiment_by_name(NAME)
            block = client.read_block_document_by_name("refit", BLOCK, include_secrets=True)
            return {
                "alias": registry.alias_version(NAME),
                "versions": [(v.version, dict(v.tags), v.description, v.source) for v in versions],
                "runs": [
                    (run.info.run_id, run.info.status, run.data.metrics)
                    for run in registry.client.search_runs([experiment.experiment_id])
                ],
                "flow runs": sorted((str(r.id), r.state_name) for r in client.read_flow_runs()),
                "deployments": sorted(d.name for d in client.read_deployments()),
                "automations": sorted(a.name for a in client.read_automations()),
                "block": block.data,
            }


BLOCK = "slack-webhook"
TOLD = "json://ann:s3cret@127.0.0.1:9"


@pytest.fixture
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Of one's own: it is deleted."""
    need(local.missing_programs(is_real=True))
    folder = tmp_path_factory.mktemp("real")
    with Processes(folder) as processes:
        stack = local.start(folder / "stack", processes, clean_environment(), is_real=True)
        yield Production(stack, processes, folder)


@pytest.mark.service
def test_restored_databases_and_bucket_have_the_same_champion_and_nothing_new_to_do(
    production: Production, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = World(tmp_path, files).first_recipe()
    monkeypatch.setenv("REFIT_NOTIFY_URL", TOLD)
    with client_of(production.stack.environment()):
        ensure_pool("nobody")
        deploy(recipe, pool="nobody", environment="production")
    assert production.run(recipe).outcome == "promoted"
    before, objects = production.facts(), production.objects()

    production.sh("save-real")
    production.stop()
    production.delete_everything()
    production.sh("restore-real")
    production.start()
    checked = production.sh("check-real", reviews=NAME)

    assert "verified: every object holds" in checked
    assert "verified: 1 entries, an unbroken chain" in checked
    assert f"models:/{NAME}@champion is version 1" in checked
    assert production.facts() == before
    assert production.objects().items() >= objects.items()
    result = production.run(recipe)
    assert (result.outcome, result.version) == ("unchanged", "1")
