"""A thread that works while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(work: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Run `work(is_over)` in a thread until the block ends; then `is_over` is set and it is awaited.

    Args:
        work: returns soon once `is_over` is set, and raises nothing.
        name: of the thread.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=work, args=(is_over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
