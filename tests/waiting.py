"""Wait for what another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(found: Callable[[], T], limit_s: float = 600, pause_s: float = 0.5) -> T:
    """The first true answer; a question to a server costs both sides some 30 ms of a processor."""
    deadline = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_s)
    return answer
