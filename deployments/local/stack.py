"""The whole stack on this machine: Prefect server, MLflow server, store; embedded or real."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from deployments.local import postgres, radosgw
from deployments.local.postgres import PostgresServer
from deployments.local.processes import Processes, free_port
from deployments.local.radosgw import S3Server
from deployments.local.servers import Guard, start_mlflow, start_prefect
from tasks.store import S3Settings, S3Store

BUCKET = "refit"


@dataclass(frozen=True)
class Stack:
    """Where everything of a running stack is reached."""

    home: Path
    prefect_url: str
    """Of the API, ends with /api."""
    mlflow_url: str
    store_uri: str
    postgres: PostgresServer | None = None
    s3: S3Server | None = None
    guard: Guard | None = None

    @property
    def prefect_ui(self) -> str:
        """Of the pages for people."""
        return self.prefect_url.removesuffix("/api")

    def environment(self) -> dict[str, str]:
        """The variables by which refit, Prefect, MLflow and boto3 find this stack."""
        found = {
            "REFIT_HOME": str(self.home),
            "REFIT_STORE": self.store_uri,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "PREFECT_API_URL": self.prefect_url,
        }
        return {
            **found,
            **(s3_variables(self.s3) if self.s3 else {}),
            **(self.guard.variables() if self.guard else {}),
        }


def missing_programs(*, is_real: bool) -> tuple[str, ...]:
    """What `start` needs and this machine lacks."""
    return (*postgres.missing_programs(), *radosgw.missing_programs()) if is_real else ()


def start(
    home: Path,
    processes: Processes,
    environment: Mapping[str, str],
    *,
    is_real: bool,
    prefect_port: int = 0,
    mlflow_port: int = 0,
    guard: Guard | None = None,
) -> Stack:
    """A stack whose servers all answer; they start side by side and end with `processes`.

    Args:
        home: embedded: databases and files, kept. Real: empty or absent, of use to nobody later.
        processes: where the servers are held.
        environment: variables for the servers, without another stack's addresses.
        is_real: PostgreSQL and S3 instead of SQLite and a folder.
        prefect_port, mlflow_port: preferred ones; 0 or in use: any.
        guard: whom Prefect and MLflow let in; absent: everybody.

    Raises:
        StartError: a program is missing, or a server did not start; with its log. None is left.
    """
    ports = free_port(prefect_port), free_port(mlflow_port)
    home.mkdir(parents=True, exist_ok=True)
    starter = _Starter(home, processes, environment, *ports, guard)
    with ThreadPoolExecutor(4, "start") as pool:
        try:
            return starter.real(pool) if is_real else starter.embedded(pool)
        except BaseException:  # also Ctrl-C: the threads wait for servers until these are gone
            processes.close()
            raise


@dataclass(frozen=True)
class _Starter:
    home: Path
    processes: Processes
    environment: Mapping[str, str]
    prefect_port: int
    mlflow_port: int
    guard: Guard | None

    def embedded(self, pool: ThreadPoolExecutor) -> Stack:
        (self.home / "prefect").mkdir(exist_ok=True)
        database = f"sqlite+aiosqlite:///{self.home / 'prefect' / 'prefect.db'}"
        prefect = pool.submit(self._prefect, database)
        mlflow = pool.submit(
            start_mlflow, self.processes, self.mlflow_port, f"sqlite:///{self.home / 'mlflow.db'}",
            (self.home / "mlartifacts").as_uri(), self.environment, self.guard,
        )  # fmt: skip
        store = str(self.home / "store")
        return Stack(self.home, prefect.result(), mlflow.result(), store, guard=self.guard)

    def real(self, pool: ThreadPoolExecutor) -> Stack:
        s3 = pool.submit(self._s3)
        database = pool.submit(postgres.start, self.processes)
        prefect = pool.submit(self._prefect_on, database)
        mlflow = pool.submit(self._mlflow_on, database, s3)
        return Stack(
            self.home, prefect.result(), mlflow.result(), f"s3://{BUCKET}/store",
            database.result(), s3.result(), self.guard,
        )  # fmt: skip

    def _prefect(self, database_url: str) -> str:
        return start_prefect(
            self.processes, self.prefect_port, database_url, self.home / "prefect",
            self.environment, self.guard,
        )  # fmt: skip

    def _prefect_on(self, server: "Future[PostgresServer]") -> str:
        server.result().create_database("prefect")
        return self._prefect(server.result().url("prefect", "asyncpg"))

    def _mlflow_on(self, server: "Future[PostgresServer]", s3: "Future[S3Server]") -> str:
        server.result().create_database("mlflow")
        return start_mlflow(
            self.processes, self.mlflow_port, server.result().url("mlflow"),
            f"s3://{BUCKET}/mlflow", {**self.environment, **s3_variables(s3.result())}, self.guard,
        )  # fmt: skip

    def _s3(self) -> S3Server:
        server = radosgw.start(self.home / "s3", self.processes)
        store = S3Store(BUCKET, "", s3_settings(server))
        store.create_bucket()
        store.close()
        return server


def s3_settings(server: S3Server) -> S3Settings:
    """How refit's store reaches that server."""
    return S3Settings(
        endpoint_url=server.endpoint,
        region="us-east-1",
        access_key_id=server.access_key,
        secret_access_key=SecretStr(server.secret_key),
    )


def s3_variables(server: S3Server) -> dict[str, str]:
    """How boto3, refit and MLflow reach that server."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": server.endpoint,
        "REFIT_S3_ENDPOINT_URL": server.endpoint,
    }
