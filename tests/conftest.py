"""Fixtures that every test may use."""

import os
import signal
from pathlib import Path

import pytest

from tests.guarded import guarded
from tests.services import (
    database,
    postgres_server,
    real_stack,
    s3_server,
    s3_store,
    stack_processes,
    worker,
)

__all__ = [
    "database", "guarded", "postgres_server", "real_stack", "s3_server", "s3_store", "shared_data",
    "stack_processes", "worker",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]

# A shell starts its background jobs deaf to Ctrl-C, and their children inherit it; some are asked so.
signal.signal(signal.SIGINT, signal.default_int_handler)


def shared_data(name: str = "") -> Path:
    """Folder of real data sets, read in place; the test skips, saying so, where it is absent."""
    folder = Path(os.environ.get("REFIT_TEST_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.exists():
        pytest.skip(f"real data {name!r} is absent: set REFIT_TEST_DATA to its folder")
    return folder


class TellsAtOnce:
    """What failed is said when it fails: a run that is ended from outside comes to no summary."""

    LINES = 25

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Its name, how long it took, and the end of what it says."""
        if report.failed:
            self.terminal.write_line(f"\n{report.nodeid}: {report.when}, {report.duration:.0f} s")
            self.terminal.write_line("\n".join(report.longreprtext.splitlines()[-self.LINES :]))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Its terminal is there by now; a worker of pytest-xdist has none."""
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        config.pluginmanager.register(TellsAtOnce(terminal))
