"""This process as a client of other servers than the tests' own."""

import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from prefect.events.worker import EventsWorker

from flows.settings import use_stack

LIMIT_S = 10


@contextmanager
def client_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Use these servers in the block, and leave nothing behind that still asks for them."""
    let_events_go()
    with use_stack(dict(variables)):
        try:
            yield
        finally:
            let_events_go()


def let_events_go() -> None:
    """Send what Prefect's worker of events holds, or drop it.

    The worker stays with the server that it saw first. If that one ends, the worker asks for it ten
    times per event, for minutes, and whoever waits for the worker waits for all of them.
    """
    workers = tuple(EventsWorker._instances.values())
    with ThreadPoolExecutor(1) as pool:  # where no loop runs, as Playwright's does here
        pool.submit(EventsWorker.drain_all, timeout=LIMIT_S).result()
    for worker in workers:
        with suppress(queue.Empty):
            while True:
                worker._queue.get_nowait()
        worker._queue.put_nowait(None)
