"""A warmed-up process that forks real `refit` commands, each in a process group of its own.

To start Python with torch, Prefect, MLflow and GX takes longer than to run a tiny recipe. Orders
come as lines of JSON on stdin, answers go to stdout: `{"start": {...}}` gives a process id,
`{"wait": id}` its exit code (negative: the signal that killed it).
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from flows.settings import load_place, prepare_environment


def main() -> None:
    """Import everything that a run needs, then obey until stdin ends."""
    prepare_environment(load_place(), console_level="CRITICAL")
    import mlflow
    import mlflow.transformers

    import data_checks.suite
    import deployments.cli
    import deployments.model_commands
    import flows.retrain as _retrain
    import models.running_cost
    import models.scoring
    import models.train

    del mlflow, data_checks, deployments, models, _retrain
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            answer = _fork(order["start"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        print(json.dumps(answer), file=answers, flush=True)


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _become(order)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)
    return pid


def _become(order: dict[str, Any]) -> None:
    """Be the command: its arguments, environment, folder, output and process group."""
    os.setsid()
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    output = os.open(order["output"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    scorer = _Scorer()

    import mlflow

    import tasks.evaluate
    from tests.faults.points import Points

    mlflow.set_system_metrics_sampling_interval(1)
    tasks.evaluate.subprocess = scorer  # type: ignore[attr-defined]
    Points(order["kill_at"], Path(order["points"])).install()
    sys.argv = ["refit", *order["arguments"]]
    try:
        importlib.import_module(order["module"]).main()
        code = 0
    except SystemExit as exc:
        code = int(exc.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Scorer:
    """Stands in for `subprocess` where models are scored: the same modules in forked processes.

    The process that forks them is itself forked before the run starts its threads.
    """

    def __init__(self) -> None:
        asked, self._ask = os.pipe()
        self._answered, answer = os.pipe()
        if os.fork() == 0:
            os.close(self._ask)
            self._serve(os.fdopen(asked), answer)
            os._exit(0)
        os.close(asked)
        os.close(answer)

    def run(self, command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        """As subprocess.run: `[python, -m, module, request, result]`."""
        os.write(self._ask, f"{json.dumps(command[2:])}\n".encode())
        code = int(os.read(self._answered, 16) or str(-signal.SIGKILL))
        return subprocess.CompletedProcess(command, code, "", "the scorer's output is in the log")

    @staticmethod
    def _serve(asked: Any, answer: int) -> None:
        from models import running_cost, scoring

        known = {module.__name__: module for module in (scoring, running_cost)}
        for line in asked:
            module, *arguments = json.loads(line)
            if (pid := os.fork()) == 0:
                os._exit(known[module].main(arguments))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(answer, str(code).encode())


if __name__ == "__main__":
    main()
