"""Wait for what another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(found: Callable[[], T], limit_s: float = 600, pause_s: float = 0.05) -> T:
    """The first true answer."""
    deadline = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_s)
    return answer
