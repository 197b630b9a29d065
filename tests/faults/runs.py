"""Real `refit` commands that tests start, kill and wait for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.world import World

ROOT = Path(__file__).parents[2]
CHOSEN = ("REFIT_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL")
"""Variables that choose services; MLflow itself sets one in every process that uses it."""


@dataclass(frozen=True)
class Command:
    """One command that runs, or ran."""

    zygote: "Zygote"
    pid: int
    output: Path
    points: Path

    def wait(self) -> int:
        """The exit code; negative: the signal that killed it."""
        return int(self.zygote.ask({"wait": self.pid}))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole process group; nothing happens where it ended before."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def wait_for(self, text: str, limit_s: float = 60) -> None:
        """Until the output holds `text`."""
        end = time.monotonic() + limit_s
        while text not in self.said:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.said}"
            time.sleep(0.01)

    @property
    def said(self) -> str:
        """All that it printed so far."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""


class Zygote:
    """The warmed-up process that forks commands."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.num_started = 0

    @classmethod
    @contextmanager
    def started(cls, folder: Path, environment: dict[str, str]) -> Iterator[Self]:
        """One zygote, ended with its block."""
        inherited = {name: value for name, value in os.environ.items() if name not in CHOSEN}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT,
            env={**inherited, "REFIT_HOME": str(folder), "HOME": str(folder), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(30)
            process.stdout.close()

    def ask(self, order: dict[str, Any]) -> Any:
        """Send one order and read its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        world: World,
        *arguments: str,
        kill_at: str = "",
        module: str = "deployments.cli",
        **environment: str,
    ) -> Command:
        """Start `refit <arguments>` in a world, or another module's `main`."""
        self.num_started += 1
        output = world.home / f"output-{self.num_started}.txt"
        points = world.home / f"points-{self.num_started}.txt"
        pid = self.ask(
            {
                "start": {
                    "arguments": arguments,
                    "folder": str(world.home),
                    "environment": {"REFIT_HOME": str(world.home), **environment},
                    "output": str(output),
                    "points": str(points),
                    "kill_at": kill_at,
                    "module": module,
                }
            }
        )
        return Command(self, pid, output, points)
