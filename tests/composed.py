"""The services of compose.yaml as processes on this machine: other addresses, ports and folders, the
same commands, variables and health checks."""

import re
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from deployments.local.processes import Child, Processes
from flows.settings import clean_environment

FOLDER = Path(__file__).parents[1] / "deployments" / "container"
CONTAINER_PORTS = {
    "prefect": 4200, "prefect-2": 4200, "mlflow": 5000, "worker": 8080,
}  # fmt: skip
LOOPBACK = "127.0.0.1"
LIMIT_S = 300.0
LOOK_S = 1.0


def services() -> dict[str, dict[str, Any]]:
    """What compose.yaml calls services."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    return found["services"]


def image_variables() -> dict[str, str]:
    """What the image's own `ENV` says, without its PATH."""
    (said,) = re.findall(
        r"^ENV ((?:.+\\\n)*.+)$",
        (FOLDER / "Dockerfile").read_text("utf-8").split("\nFROM ")[-1],
        re.M,
    )
    return {k: v for k, v in re.findall(r"(\w+)=(\S+)", said) if k != "PATH"}


@dataclass(frozen=True)
class Composed:
    """compose.yaml with what is different here."""

    processes: Processes
    folder: Path
    given: Mapping[str, str]
    """What `.env` says."""
    ports: Mapping[str, int]
    """Where each service listens here."""
    hosts: Mapping[str, int]
    """Where a service is reached by its name, if it is not there where it listens."""

    def start(self, name: str) -> Child:
        """Start a service with its command and variables."""
        for folder in ("tmp", "home"):
            (self.folder / name / folder).mkdir(parents=True, exist_ok=True)
        return self.processes.start(name, self.command(name), environment=self.environment(name))

    def command(self, name: str) -> list[str]:
        """Of the service."""
        return [self._own(name, self._filled(word)) for word in services()[name]["command"]]

    def environment(self, name: str) -> dict[str, str]:
        """Of the service: the image's and its own, with what finds this machine's programs."""
        kept = {k: v for k, v in clean_environment().items() if k in ("PYTHONPATH", "LANG")}
        own = {**image_variables(), **services()[name].get("environment", {})}
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        variables = {k: self._own(name, self._reached(self._filled(v))) for k, v in own.items()}
        return {**kept, **variables, "PATH": path, "HOME": self._own(name, "/home/refit")}

    def is_well(self, name: str) -> bool:
        """What the service's own health check says."""
        kind, *check = services()[name]["healthcheck"]["test"]
        said = [self._own(name, self._filled(word)) for word in check]
        command = said if kind == "CMD" else ["sh", "-c", *said]
        done = subprocess.run(command, env=self.environment(name), capture_output=True)
        return done.returncode == 0

    def up(self) -> dict[str, Child]:
        """Start everything but `postgres`, which is there; each when what it waits for is as it asks."""
        children: dict[str, Child] = {}
        order = TopologicalSorter({n: s.get("depends_on", {}) for n, s in services().items()})
        order.prepare()
        while batch := order.get_ready():
            for name in set(batch) - {"postgres"}:
                for needed, how in services()[name].get("depends_on", {}).items():
                    if needed != "postgres":
                        self._wait(children[needed], how["condition"])
                children[name] = self.start(name)
            order.done(*batch)
        return children

    def _wait(self, child: Child, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert child.leash.wait(LIMIT_S) == 0, child.log_tail()
        else:
            assert condition == "service_healthy"

            def is_well() -> bool:
                time.sleep(LOOK_S)  # each look is a process of its own
                return self.is_well(child.name)

            self.processes.wait_ready(child, is_well, LIMIT_S)

    def _filled(self, text: str) -> str:
        """Variables as compose fills them in."""

        def value(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            found = self.given.get(name, "")
            assert found or default is not None, f"{name} must be given"
            return found or str(default)

        filled = re.sub(r"\$\{(?P<name>\w+)(?::\?|:-(?P<default>[^}]*))\}", value, str(text))
        return filled.replace("$$", "$")

    def _reached(self, text: str) -> str:
        """Other services by the addresses that they have here."""
        for name, port in {**self.ports, **self.hosts}.items():
            text = re.sub(rf"(?<=@|/){name}(:\d+)?(?=/)", f"{LOOPBACK}:{port}", text)
            text = re.sub(rf"(?<=//){name}:\d+$", f"{LOOPBACK}:{port}", text)
        return text

    def _own(self, name: str, text: str) -> str:
        """The service's own port, address and folders."""
        if name in CONTAINER_PORTS:
            port = CONTAINER_PORTS[name]
            text = re.sub(rf"(?<!{name}:)\b{port}\b", str(self.ports[name]), text)
        if name == "redis":  # its files name no port: it has its usual one
            port = self.ports[name]
            text = text.replace(
                "exec redis-server", f"exec redis-server --bind {LOOPBACK} --port {port}"
            )
            text = text.replace("redis-cli", f"redis-cli -p {port}")
        text = text.replace("0.0.0.0", LOOPBACK)
        for there, here in {
            "/tmp": self.folder / name / "tmp",
            "/home/refit": self.folder / name / "home",
            "/run/secrets": self.folder / "secrets",
        }.items():
            text = re.sub(rf"^{there}\b", str(here), text)
        return text


class Alias(socketserver.ThreadingTCPServer):
    """One name for several replicas, as `networks.aliases` makes it: whoever connects is sent to each
    in turn, and past those that are gone."""

    daemon_threads = True

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__((LOOPBACK, 0), _Between)
        self.ports = list(ports)
        self.num_sent: Counter[int] = Counter()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def connect(self) -> socket.socket:
        """To the next replica that is there."""
        self.ports = [*self.ports[1:], self.ports[0]]
        for port in tuple(self.ports):
            with suppress(OSError):
                found = socket.create_connection((LOOPBACK, port), timeout=60)
                self.num_sent[port] += 1
                return found
        raise ConnectionRefusedError("no replica is there")

    @contextmanager
    def serving(self) -> Iterator["Alias"]:
        """Until the block ends."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        with self:
            thread.start()
            try:
                yield self
            finally:
                self.shutdown()
                thread.join()


class _Between(socketserver.BaseRequestHandler):
    """Bytes from one to the other, both ways, until one of them has no more."""

    server: Alias
    request: socket.socket

    def handle(self) -> None:
        with suppress(OSError), self.server.connect() as replica:
            other = {self.request: replica, replica: self.request}
            while True:
                for side in select.select(list(other), [], [])[0]:
                    if not (sent := side.recv(65536)):
                        return
                    other[side].sendall(sent)
