"""A terminal for tests: one child process runs many `refit` commands, so that imports are paid once.

The child calls the entry point itself, with its own descriptors: what a person would see is caught,
whoever wrote it, and a command's warnings stay the command's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs commands in `folder`, which also is where everything of refit is kept (`home`)."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        outer = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        own = {"REFIT_HOME": str(self.home), "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.terminal"],
            cwd=folder,
            env={**outer, **own, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        """Run `refit ARGUMENTS`; `environment` holds for this command only."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        job = {"arguments": arguments, "stdin": stdin, "environment": environment}
        self._child.stdin.write(json.dumps(job) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        assert answer, f"the child died over {arguments}"
        return Done(*json.loads(answer))

    def close(self) -> None:
        """End the child."""
        self._child.communicate("")


@contextmanager
def terminal(folder: Path, **environment: str) -> Iterator[Terminal]:
    """A Terminal that ends with the block."""
    opened = Terminal(folder, **environment)
    try:
        yield opened
    finally:
        opened.close()


def _is_ours(name: str) -> bool:
    return name.startswith(("REFIT_", "MLFLOW_", "PREFECT_", "AWS_"))


def serve() -> None:
    """The child: a job a line on stdin, `[code, out, err]` a line on the old stdout."""
    jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for line in jobs:
        job = json.loads(line)
        before = dict(os.environ)
        os.environ.update(job["environment"])
        answer = _run(job["arguments"], job["stdin"])
        for name in job["environment"]:
            os.environ.pop(name)
            os.environ.update({name: before[name]} if name in before else {})
        print(json.dumps(answer), file=answers, flush=True)


def _run(arguments: list[str], stdin: str) -> Done:
    from deployments.cli import main

    names = [Path(f".terminal.{name}") for name in ("in", "out", "err")]
    names[0].write_text(stdin, "utf-8")
    for number, name in enumerate(names):
        descriptor = os.open(
            name, os.O_RDONLY if number == 0 else os.O_CREAT | os.O_TRUNC | os.O_RDWR
        )
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.argv, code = os.fdopen(os.dup(0), encoding="utf-8"), ["refit", *arguments], 0
    try:
        main()
    except SystemExit as exc:
        code = int(exc.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    return Done(code, *(name.read_text("utf-8", "backslashreplace") for name in names[1:]))


if __name__ == "__main__":
    serve()
