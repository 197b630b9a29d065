"""Real servers for tests that carry the marker `service`: one per session; a bucket or a database,
copied from a template, per test."""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from deployments.local import postgres, radosgw, stack
from deployments.local.postgres import PostgresServer
from deployments.local.processes import Child, Processes
from deployments.local.radosgw import S3Server
from deployments.local.stack import Stack
from deployments.up import POOL, start_worker
from flows.settings import clean_environment
from tasks.store import S3Settings, S3Store
from tests.client_of import client_of


def s3_settings(server: S3Server, **changes: object) -> S3Settings:
    """Settings for that server; `changes` replace single fields."""
    return stack.s3_settings(server).model_copy(update=changes)


def need(missing: tuple[str, ...]) -> None:
    """Skip where programs are missing; in CI that is a failure."""
    if missing:
        reason = f"missing {', '.join(missing)}: run deployments/local/install.sh"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A private radosgw; without its programs the test skips, but in CI it fails."""
    need(radosgw.missing_programs())
    folder = tmp_path_factory.mktemp("s3")
    with Processes(folder) as processes:
        yield radosgw.start(folder, processes)


@pytest.fixture
def s3_store(s3_server: S3Server) -> Iterator[S3Store]:
    """A store in a bucket of its own."""
    store = S3Store(f"test-{uuid4().hex}", "refit", s3_settings(s3_server))
    store.create_bucket()
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A private PostgreSQL."""
    need(postgres.missing_programs())
    with Processes(tmp_path_factory.mktemp("postgres")) as processes:
        yield postgres.start(processes)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Callable[[str], str]:
    """A function from a template's name to a fresh copy's name, which this test alone uses."""

    def copy(template: str = "template1") -> str:
        name = f"test_{uuid4().hex}"
        postgres_server.create_database(name, template)
        return name

    return copy


@pytest.fixture(scope="session")
def stack_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """What runs for `real_stack`."""
    with Processes(tmp_path_factory.mktemp("real")) as processes:
        yield processes


@pytest.fixture(scope="session")
def real_stack(stack_processes: Processes) -> Stack:
    """PostgreSQL, S3, Prefect server and MLflow server, as `refit up --real` starts them."""
    need(stack.missing_programs(is_real=True))
    home = stack_processes.log_folder.parent
    return stack.start(home, stack_processes, clean_environment(), is_real=True)


@pytest.fixture(scope="session")
def worker(real_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A worker that runs what is deployed on the real stack."""
    from flows.pools import ensure_pool

    with client_of(real_stack.environment()):
        ensure_pool(POOL, limit=4)
    with Processes(tmp_path_factory.mktemp("worker")) as processes:
        yield start_worker(processes, real_stack, poll_s=1.0)
