"""Whether this process was asked to end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopAsked(Exception):
    """SIGTERM came while something ran that can be done again."""


class Stop:
    """Whether this process was asked to end (SIGTERM), and a moment in which that may interrupt."""

    def __init__(self) -> None:
        self.is_asked = False
        self.cause: Exception | None = None
        """Why, where it was not SIGTERM."""
        self._may_raise = False

    def ask(self, cause: Exception) -> None:
        """End after this step, as SIGTERM would, for a reason of our own."""
        self.is_asked, self.cause = True, cause

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM for oneself; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block that ends with StopAsked as soon as SIGTERM comes, or came."""
        self._may_raise = True
        try:
            if self.is_asked:
                raise StopAsked
            yield
        finally:
            self._may_raise = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        is_first, self.is_asked = not self.is_asked, True
        if is_first and self._may_raise:
            raise StopAsked
