"""A Prefect server and an MLflow server of one's own, on the loopback."""

import sys
from collections.abc import Mapping
from pathlib import Path

from deployments.local.processes import Processes, answers

GRACE_S = 5.0


def start_prefect(
    processes: Processes, port: int, database_url: str, home: Path, environment: Mapping[str, str]
) -> str:
    """A Prefect server with its scheduler and events; returns its API's address once it is well.

    Args:
        processes: where it is held.
        port: of API and UI.
        database_url: `postgresql+asyncpg://...` or `sqlite+aiosqlite:///...`, migrated at start.
        home: a folder for what Prefect keeps on disk.
        environment: variables of the server, without another server's address.
    """
    url = f"http://127.0.0.1:{port}/api"
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_SERVER_UI_API_URL": url,  # or the page would call port 4200
    }
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1")
    child = processes.start(
        "prefect",
        (*command, "--port", str(port)),
        environment={**environment, **own},
        grace_s=GRACE_S,
    )
    processes.wait_ready(child, lambda: answers(port, "/api/health"))
    return url


def start_mlflow(
    processes: Processes,
    port: int,
    database_url: str,
    artifacts: str,
    environment: Mapping[str, str],
) -> str:
    """An MLflow server; returns its address once it is well.

    Args:
        processes: where it is held.
        port: of API and UI.
        database_url: `postgresql+psycopg2://...` or `sqlite:///...`.
        artifacts: `s3://bucket/prefix`, which the server reads and writes for its clients, or
            `file:///folder`, which the clients on this machine read and write themselves.
        environment: variables of the server; S3's address and keys where artifacts lie there.
    """
    # Served artifacts have addresses that only a server understands; those of a folder stay true
    # when the same database is opened without one.
    where = (
        ("--no-serve-artifacts", "--default-artifact-root", artifacts)
        if artifacts.startswith("file:")
        else ("--artifacts-destination", artifacts)
    )
    command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "-w", "1")
    child = processes.start(
        "mlflow",
        (*command, "--port", str(port), "--backend-store-uri", database_url, *where),
        environment={**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        grace_s=GRACE_S,
    )
    processes.wait_ready(child, lambda: answers(port, "/health"))
    return f"http://127.0.0.1:{port}"
