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
