"""What compose.yaml says runs, as processes: its own commands, variables and health checks.

Everything but the images: a real PostgreSQL, Redis and S3 server, Prefect's schema, two replicas of its
API, one process of its services, MLflow with its basic-auth app, and a worker.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import psycopg2
import pytest
import yaml

from deployments.local import postgres
from deployments.local.postgres import PostgresServer
from deployments.local.processes import Child, Processes, free_ports
from deployments.local.radosgw import S3Server
from tasks.store import S3Store
from tests.composed import FOLDER, LOOPBACK, Alias, Composed, services
from tests.services import need, s3_settings
from tests.waiting import wait_for
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(3000)]

NAME = "composed"
EVERY_S = 15.0
LIMIT_S = 1200.0
"""A run takes 20 s alone on two cores; beside other heavy work, ten minutes."""
LOOK_S = 0.5
USER, PASSWORD = "refit", uuid4().hex
REPLICAS = ("prefect", "prefect-2")
AUTH = """
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {user}
admin_password = {password}
"""


class Up(NamedTuple):
    """The whole stack."""

    composed: Composed
    alias: Alias
    children: dict[str, Child]

    def ask(self, path: str, **body: Any) -> Any:
        """Prefect's API, under the name that its clients use."""
        url = f"http://{LOOPBACK}:{self.alias.port}/api/{path}"
        answer = httpx.post(url, json=body, auth=(USER, PASSWORD), timeout=60)
        return answer.raise_for_status().json()

    def mlflow(self, path: str, user: str = USER, **headers: str) -> httpx.Response:
        """MLflow, asked by its one user or somebody else."""
        url = f"http://{LOOPBACK}:{self.composed.ports['mlflow']}/{path}"
        return httpx.get(url, auth=(user, PASSWORD), headers=headers, timeout=60)


@pytest.fixture(scope="module")
def up(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`docker compose up -d`, without containers."""
    programs = ("redis-server", "redis-cli")
    need((*postgres.missing_programs(), *(name for name in programs if not shutil.which(name))))
    folder = tmp_path_factory.mktemp("composed")
    names = ("redis", "mlflow", "worker", *REPLICAS)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    replicas = Alias([ports[name] for name in REPLICAS])
    with Processes(folder) as processes, replicas.serving() as alias:
        server = postgres.start(processes)
        ports["postgres"] = server.port
        prepare_databases(server)
        hosts = {"prefect": alias.port}
        composed = Composed(processes, folder, given(s3_server), ports, hosts)
        write_auth(composed)
        yield Up(composed, alias, composed.up())


def prepare_databases(server: PostgresServer) -> None:
    """What the image of PostgreSQL does in an empty volume: the user, its database, our file."""
    server.create_database("prefect")
    with closing(psycopg2.connect(server.url("prefect").replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create role {USER} superuser login password '{PASSWORD}'")
            cursor.execute((FOLDER / "databases.sql").read_text("utf-8"))


def given(s3: S3Server) -> dict[str, str]:
    """`.env`, filled in."""
    bucket = f"test-{uuid4().hex}"
    store = S3Store(bucket, "", s3_settings(s3))
    store.create_bucket()
    store.close()
    return {
        "POSTGRES_PASSWORD": PASSWORD,
        "REDIS_PASSWORD": uuid4().hex,
        "PREFECT_AUTH": f"{USER}:{PASSWORD}",
        "MLFLOW_SECRET_KEY": uuid4().hex,
        "MLFLOW_USER": USER,
        "MLFLOW_PASSWORD": PASSWORD,
        "S3_BUCKET": bucket,
        "S3_ACCESS_KEY": s3.access_key,
        "S3_SECRET_KEY": s3.secret_key,
        "S3_ENDPOINT_URL": s3.endpoint,
    }


def write_auth(composed: Composed) -> None:
    """MLFLOW_AUTH_FILE, as example.env describes it; its users are in MLflow's own database."""
    mlflow = composed.environment("mlflow")
    file = Path(mlflow["MLFLOW_AUTH_CONFIG_PATH"])
    file.parent.mkdir()
    database = mlflow["MLFLOW_BACKEND_STORE_URI"]
    file.write_text(AUTH.format(database=database, user=USER, password=PASSWORD), "utf-8")


@pytest.fixture(scope="module")
def ended(up: Up, files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run by schedule, in the middle of which one replica was killed."""
    folder = tmp_path_factory.mktemp("recipe")
    recipe = World(folder, files).first_recipe().model_dump(mode="json", exclude_defaults=True)
    scheduled = {**recipe, "name": NAME, "schedule": {"every_s": EVERY_S}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(scheduled), "utf-8")
    deploy_as_the_guide_says(up, folder / "recipe.yaml")

    def runs(*states: str) -> Any:
        wanted = {"name": {"any_": [f"retrain {NAME}"]}, "state": {"type": {"any_": list(states)}}}
        return up.ask("flow_runs/filter", flow_runs=wanted)

    (going,) = wait_for(lambda: runs("RUNNING"), LIMIT_S, LOOK_S)
    wait_for(lambda: tasks(up, going["id"]), LIMIT_S, LOOK_S)
    assert set(up.alias.num_sent) == {up.composed.ports[name] for name in REPLICAS}
    up.children[REPLICAS[0]].kill()
    over = wait_for(lambda: runs("COMPLETED", "FAILED", "CRASHED"), LIMIT_S, LOOK_S)
    pause_schedule(up, going["deployment_id"])
    return next(run for run in over if run["id"] == going["id"])


def deploy_as_the_guide_says(up: Up, recipe: Path) -> None:
    """`docker compose exec worker refit deploy ...`."""
    command = ["refit", "deploy", str(recipe), "--pool", "refit-local", "--limit", "1"]
    environment = up.composed.environment("worker")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def pause_schedule(up: Up, deployment_id: str) -> None:
    """What is seen is seen; a run of it every few seconds takes a core."""
    url = f"http://{LOOPBACK}:{up.alias.port}/api/deployments/{deployment_id}"
    httpx.patch(url, json={"paused": True}, auth=(USER, PASSWORD), timeout=60).raise_for_status()


def tasks(up: Up, run_id: str) -> list[dict[str, Any]]:
    """The tasks of a run; their rows are written by the process of services."""
    found: list[dict[str, Any]] = up.ask(
        "task_runs/filter", flow_runs={"id": {"any_": [run_id]}}, limit=200
    )
    return found


def all_completed(found: list[dict[str, Any]]) -> bool:
    return bool(found) and {task["state_type"] for task in found} == {"COMPLETED"}


def test_a_run_by_schedule_outlives_a_replica_that_is_killed(up: Up, ended: dict[str, Any]) -> None:
    assert (ended["state_type"], ended["state_name"]) == ("COMPLETED", "Promoted")
    assert ended["auto_scheduled"] is True
    assert not up.children[REPLICAS[0]].is_running
    wait_for(lambda: all_completed(tasks(up, ended["id"])), LIMIT_S, LOOK_S)


def test_mlflow_knows_the_champion_and_lets_in_its_user_alone_by_the_name_that_it_has(
    up: Up, ended: dict[str, Any]
) -> None:
    path = f"api/2.0/mlflow/registered-models/alias?name={NAME}&alias=champion"
    assert up.mlflow(path, Host="mlflow:5000").json()["model_version"]["version"] == "1"
    assert up.mlflow(path, user="stranger").status_code == 401
    assert up.mlflow(path, Host="elsewhere.example:5000").status_code == 403


def test_every_health_check_tells_who_is_there_from_who_is_gone(
    up: Up, ended: dict[str, Any]
) -> None:
    checked = {name for name, service in services().items() if "healthcheck" in service}
    assert checked == {"postgres", *up.composed.ports}
    gone = {name for name in checked - {"postgres"} if not up.composed.is_well(name)}
    assert gone == {REPLICAS[0]}
