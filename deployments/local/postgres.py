"""A private PostgreSQL: one cluster of its own on a free loopback port, fast rather than durable."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from deployments.local.processes import Processes, StartError, free_port

USER = "postgres"
DEBIAN = Path("/usr/lib/postgresql")
PROGRAMS = ("initdb", "postgres", "createdb", "pg_isready")

# Nothing here outlives its folder, so that no write has to reach a disk.
CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
shared_buffers = 64MB
autovacuum_naptime = 10min
"""


@dataclass(frozen=True)
class PostgresServer:
    """Where a running server listens, and the password of its one user."""

    port: int
    password: str = field(repr=False)

    def url(self, database: str, driver: str = "psycopg2") -> str:
        """SQLAlchemy's address of a database."""
        return f"postgresql+{driver}://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of another, to which nobody may be connected.

        Raises:
            StartError: PostgreSQL refuses; with what it said.
        """
        command = (_program("createdb"), *_address(self.port), "--template", template, name)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={"PGPASSWORD": self.password},
        )  # fmt: skip
        if done.returncode:
            raise StartError(f"createdb failed: {done.stderr.strip()[-1000:]}")


def missing_programs() -> tuple[str, ...]:
    """The programs that `start` needs and this machine lacks; empty: it can start."""
    return tuple(name for name in PROGRAMS if _find(name) is None)


def start(processes: Processes) -> PostgresServer:
    """A server that answers, until `processes` close and its cluster is deleted.

    Raises:
        StartError: a program is missing or failed, with what it said.
    """
    if missing := missing_programs():
        raise StartError(f"missing {', '.join(missing)}: run deployments/local/install.sh")
    # A folder directly below the system's temporary one: its user may be shut out of others.
    folder = Path(processes.afterwards.enter_context(tempfile.TemporaryDirectory(prefix="refit-")))
    data, port, password_file = folder / "data", free_port(), folder / "password"
    server = PostgresServer(port, secrets.token_hex(16))
    password_file.touch(0o600)
    password_file.write_text(server.password, "utf-8")
    if as_user := _as_user():
        for path in (folder, password_file):
            shutil.chown(path, USER)
    options = ["--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"]
    access = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}"]
    processes.run("initdb", (*as_user, _program("initdb"), "-D", str(data), *access, *options))
    password_file.unlink()
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(CONFIG.format(port=port, folder=folder))
    child = processes.start(
        "postgres", (*as_user, _program("postgres"), "-D", str(data)), stop_signal=signal.SIGINT
    )
    processes.wait_ready(child, lambda: _is_ready(port))
    return server


def _find(name: str) -> str | None:
    """Debian keeps the programs of each major version in a folder of its own; the latest counts."""
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


def _program(name: str) -> str:
    found = _find(name)
    assert found is not None, name
    return found


def _as_user() -> tuple[str, ...]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups")


def _address(port: int) -> tuple[str, ...]:
    return "-h", "127.0.0.1", "-p", str(port), "-U", USER


def _is_ready(port: int) -> bool:
    command = (_program("pg_isready"), *_address(port), "-q")
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
