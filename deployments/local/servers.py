"""A Prefect server and an MLflow server of one's own, on the loopback."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from deployments.local.processes import Processes, answers

GRACE_S = 5.0
AUTH = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = {user}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True)
class Guard:
    """The one user that Prefect and MLflow let in, MLflow as its administrator."""

    user: str = "refit"
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    flask_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def auth_string(self) -> str:
        """`user:password`, as Prefect takes it."""
        return f"{self.user}:{self.password}"

    def variables(self) -> dict[str, str]:
        """What clients of both servers need."""
        return {
            "PREFECT_API_AUTH_STRING": self.auth_string,
            "MLFLOW_TRACKING_USERNAME": self.user,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }


def start_prefect(
    processes: Processes,
    port: int,
    database_url: str,
    home: Path,
    environment: Mapping[str, str],
    guard: Guard | None = None,
) -> str:
    """A Prefect server with its scheduler and events; returns its API's address once it is well.

    Args:
        processes: where it is held.
        port: of API and UI.
        database_url: `postgresql+asyncpg://...` or `sqlite+aiosqlite:///...`, migrated at start.
        home: a folder for what Prefect keeps on disk.
        environment: variables of the server, without another server's address.
        guard: whom it lets in; absent: everybody.
    """
    url = f"http://127.0.0.1:{port}/api"
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_SERVER_UI_API_URL": url,  # or the page would call port 4200
        **({"PREFECT_SERVER_API_AUTH_STRING": guard.auth_string} if guard else {}),
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
    guard: Guard | None = None,
) -> str:
    """An MLflow server; returns its address once it is well.

    Args:
        processes: where it is held.
        port: of API and UI.
        database_url: `postgresql+psycopg2://...` or `sqlite:///...`.
        artifacts: `s3://bucket/prefix`, which the server reads and writes for its clients, or
            `file:///folder`, which the clients on this machine read and write themselves.
        environment: variables of the server; S3's address and keys where artifacts lie there.
        guard: whom it lets in, by its basic-auth app; absent: everybody.
    """
    # Served artifacts have addresses that only a server understands; those of a folder stay true
    # when the same database is opened without one.
    where = (
        ("--no-serve-artifacts", "--default-artifact-root", artifacts)
        if artifacts.startswith("file:")
        else ("--artifacts-destination", artifacts)
    )
    command = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "-w", "1")
    app: tuple[str, ...] = ()
    own = {
        "MLFLOW_BACKEND_STORE_URI": database_url,  # on the command line everybody reads it
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if guard:
        folder = Path(processes.afterwards.enter_context(TemporaryDirectory(prefix="refit-")))
        config = folder / "auth.ini"
        config.write_text(AUTH.format(folder=folder, user=guard.user), "utf-8")
        app = "--app-name", "basic-auth"
        own |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": guard.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": guard.flask_key,
        }
    child = processes.start(
        "mlflow",
        (*command, "--port", str(port), *where, *app),
        environment={**environment, **own},
        grace_s=GRACE_S,
    )
    processes.wait_ready(child, lambda: answers(port, "/health"))
    return f"http://127.0.0.1:{port}"
