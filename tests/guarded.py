"""A whole stack that asks for passwords everywhere, and eyes that look for them where none belongs."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import create_engine, inspect, text

from deployments.local import stack as local
from deployments.local.processes import Processes
from deployments.local.servers import Guard
from deployments.local.stack import Stack, s3_settings
from flows.settings import clean_environment
from tasks.store import S3Store
from tests.services import need

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = """
import json, os, sys
import mlflow.store.db.utils as databases
from tasks.retries import RETRIED
RETRIED["retries"] = 0  # the waits between tries take a minute and a half, MLflow's own too
databases.MAX_RETRY_COUNT = 1
from deployments.cli import main
for arguments, variables in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(variables)
    sys.argv, code = ["refit", *arguments], 0
    try:
        main()
    except SystemExit as exc:
        code = int(exc.code or 0)
    os.environ.clear()
    os.environ.update(before)
    sys.stderr.flush()
    print(f"ENDED {code}", flush=True)
"""


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    said: str


@dataclass
class CommandLines:
    """Every command line of this machine that was seen while the block ran."""

    seen: set[bytes] = field(default_factory=set)

    @contextmanager
    def watched(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.03):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(file.read_bytes())
                except OSError:  # it has ended
                    continue


@dataclass(frozen=True)
class Guarded:
    """The stack, the home of who uses it, and what was seen."""

    stack: Stack
    home: Path
    lines: CommandLines

    @property
    def variables(self) -> dict[str, str]:
        return {**self.stack.environment(), "REFIT_HOME": str(self.home / "refit")}

    @property
    def tracking_with_password(self) -> str:
        """MLflow's address as people write it who do not know of the two variables."""
        assert self.stack.guard is not None
        host = urlsplit(self.stack.mlflow_url).netloc
        return f"http://{self.stack.guard.user}:{self.stack.guard.password}@{host}"

    def ask_mlflow(self, what: str, **values: str) -> None:
        """Call its API as the administrator; its own client for users warns at import."""
        assert self.stack.guard is not None
        login = base64.b64encode(self.stack.guard.auth_string.encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        url, body = f"{self.stack.mlflow_url}/api/{what}", json.dumps(values).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            assert answer.status == 200

    def refit(
        self,
        *commands: tuple[Sequence[str], Mapping[str, str]],
        **environment: str,
    ) -> list[Ended]:
        """Run commands one after the other in one process, each with variables of its own."""
        outer = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
        variables = {
            **outer, **clean_environment(), **self.variables, "HOME": str(self.home),
            "COLUMNS": "200", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-u", "-c", COMMANDS], cwd=self.home, text=True,
            input=json.dumps(commands), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=variables,
        )  # fmt: skip
        said = re.split(r"ENDED (\d+)\n", done.stdout)
        assert len(said) == 2 * len(commands) + 1, done.stdout[-3000:]
        return [Ended(int(code), text) for text, code in zip(said[::2], said[1::2], strict=False)]

    def leaks(self, secrets: Mapping[str, str]) -> list[str]:
        """`secret in place` for each secret that any place holds, in any of its spellings."""
        spellings = {name: set(_spelt(secret)) for name, secret in secrets.items()}
        return [
            f"{name} in {place}"
            for place, content in self.places()
            for name, spelt in spellings.items()
            if any(each in content for each in spelt)
        ]

    def places(self) -> Iterator[tuple[str, bytes]]:
        """Everything that was written or shown: databases, objects, files, command lines."""
        assert self.stack.postgres is not None
        assert self.stack.s3 is not None
        for name in ("prefect", "mlflow"):
            yield from _rows(self.stack.postgres.url(name))
        store = S3Store(local.BUCKET, "", s3_settings(self.stack.s3))
        for key in store.list():
            yield f"s3://{local.BUCKET}/{key}", store.read(key)
        store.close()
        for folder in (self.home, self.stack.home):
            for path in folder.rglob("*"):
                if path.is_file():
                    yield str(path), path.read_bytes()
        for line in self.lines.seen:
            yield f"the command line {line[:60]!r}", line


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """PostgreSQL, S3, Prefect and MLflow, each with a password, watched from the start."""
    need(local.missing_programs(is_real=True))
    home, lines = tmp_path_factory.mktemp("guarded"), CommandLines()
    (home / "user").mkdir()
    with lines.watched(), Processes(home / "stack") as processes:
        stack = local.start(
            home / "stack", processes, clean_environment(), is_real=True, guard=Guard()
        )
        yield Guarded(stack, home / "user", lines)


def _rows(database_url: str) -> Iterator[tuple[str, bytes]]:
    """Each table of a database as text."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            for table in inspect(engine).get_table_names():
                rows = connection.execute(text(f'select row_to_json(t)::text from "{table}" t'))
                where = f"table {table} of {engine.url.database}"
                yield where, "\n".join(row[0] for row in rows).encode()
    finally:
        engine.dispose()


def _spelt(secret: str) -> Iterator[bytes]:
    """A secret as it is, in a URL, and in the header of basic authentication."""
    yield secret.encode()
    yield quote(secret).encode()
    yield base64.b64encode(f"refit:{secret}".encode()).rstrip(b"=")[:-1]
