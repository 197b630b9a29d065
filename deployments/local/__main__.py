"""`python -m deployments.local`: the real stack in private processes, until Ctrl-C.

`--guarded` lets Prefect and MLflow ask for a password, as they should where others reach them.

PostgreSQL, S3, Prefect server and MLflow server, for trying things out against what production has.
Nothing is kept: the next start begins from nothing.
"""

import shlex
import signal
import sys
import tempfile
from pathlib import Path

from deployments import screen
from deployments.local.processes import Processes, StartError
from deployments.local.servers import Guard
from deployments.local.stack import start
from flows.settings import clean_environment


def main() -> int:
    """Start, say how everything is reached, and wait for the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="refit-") as folder, Processes(Path(folder)) as held:
        try:
            guard = Guard() if sys.argv[1:] == ["--guarded"] else None
            stack = start(Path(folder), held, clean_environment(), is_real=True, guard=guard)
        except StartError as exc:
            screen.print_error(str(exc))
            return 1
        except KeyboardInterrupt:
            return 130
        for name, value in stack.environment().items():
            screen.out.print(f"export {name}={shlex.quote(value)}", markup=False)
        screen.say(f"Prefect {stack.prefect_ui}, MLflow {stack.mlflow_url}; Ctrl-C ends them all")
        try:
            signal.pause()
        except KeyboardInterrupt:
            screen.say("stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main())
