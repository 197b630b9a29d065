"""What is worth trying again, and for how long: faults of services, never refusals.

Inside `patience(outage_s)` every call of store, registry and judge waits while its service is away: it is
made again with growing delays until `outage_s` have passed since it first failed. Outside of it, at a
terminal, a call fails at once. Other faults that may pass are tried again task by task, by Prefect.
"""

import functools
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from tasks.objects import StoreUnreachable

log = logging.getLogger("refit")

P = ParamSpec("P")
R = TypeVar("R")

DELAYS_S = [1.0, 5.0, 20.0, 60.0]
FIRST_DELAY_S, MAX_DELAY_S = 1.0, 30.0
OUTAGE_S = 120.0
"""How long a service may be away before a run gives up."""
MAX_OUTAGE_S = 86400.0

_patience_s: ContextVar[float] = ContextVar("patience_s", default=0.0)


class RegistryUnreachable(ConnectionError):
    """MLflow does not answer, or answers with an error of its own: retry is safe."""


class JudgeUnreachable(ConnectionError):
    """The judge does not answer, or with an error of its own: retry is safe."""


@contextmanager
def patience(outage_s: float) -> Iterator[None]:
    """Let the block's calls wait up to `outage_s` for a service; 0: not at all.

    It holds in the thread that says so, and not in those that it starts.
    """
    before = _patience_s.set(outage_s)
    try:
        yield
    finally:
        _patience_s.reset(before)


def patient(call: Callable[P, R]) -> Callable[P, R]:
    """The call, made again while it fails by a fault that may pass and patience lasts.

    Only for calls that may be made twice. Within another patient call, that one waits.
    """

    @functools.wraps(call)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        end, delays_s = None, growing_delays()
        while True:
            outage_s = _patience_s.get()
            try:
                with patience(0):
                    return call(*args, **kwargs)
            except Exception as exc:
                end = end or time.monotonic() + outage_s
                left_s = end - time.monotonic()
                if left_s <= 0 or not may_pass(exc):
                    raise
                delay_s = min(next(delays_s), left_s)
                log.warning("%s; once more in %.0f s", explain(exc).partition("; ")[0], delay_s)
                time.sleep(delay_s)

    return tried


def growing_delays() -> Iterator[float]:
    """Seconds between tries: doubling, each with jitter, so that many do not come back at once."""
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s * random.uniform(0.75, 1.25)
        delay_s = min(2 * delay_s, MAX_DELAY_S)


def may_pass(exc: BaseException | None) -> bool:
    """Whether a fault may be gone at the next try: time-outs, broken connections, server errors."""
    if exc is None:
        return False
    status = http_status(exc)
    if status is not None:
        return is_ill(status)
    return isinstance(exc, StoreUnreachable | ConnectionError | TimeoutError) or _is_broken(exc)


def is_ill(status: int) -> bool:
    """Whether a server that answers so may answer otherwise at the next try."""
    return status >= 500 or status in (408, 429)


def explain(exc: BaseException) -> str:
    """What an exception says; of a lost connection, to whom, which httpx leaves out."""
    import httpx

    lost = exc if isinstance(exc, httpx.TransportError) else exc.__cause__
    if not isinstance(lost, httpx.TransportError):
        return str(exc)
    try:
        url = lost.request.url
    except RuntimeError:  # nobody was asked
        return str(exc)
    return (
        f"{url.scheme}://{url.netloc.decode()} does not answer ({type(lost).__name__}); start it, or"
        " correct its address (of Prefect: PREFECT_API_URL)"
    )


def http_status(exc: BaseException) -> int | None:
    """What a server answered: by MLflow's errors, and by those of requests and httpx."""
    status = getattr(exc, "get_http_status_code", None)
    found = status() if callable(status) else None
    found = found or getattr(getattr(exc, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _is_broken(exc: BaseException) -> bool:
    """Whether a client of HTTP lost its connection; these two have trees of their own."""
    import httpx
    import requests

    broken = (httpx.TransportError, requests.ConnectionError, requests.Timeout)
    return isinstance(exc, broken) or (
        isinstance(exc, RuntimeError) and isinstance(exc.__cause__, broken)  # as Prefect says it
    )


def _worth_it(task: Any, run: Any, state: Any) -> bool:
    """Whether Prefect shall try a task again: what a service was waited for is over."""
    try:
        state.result()
    except (StoreUnreachable, RegistryUnreachable, JudgeUnreachable):
        return False
    except BaseException as exc:
        return may_pass(exc)
    return False


RETRIED: dict[str, Any] = {
    "retries": len(DELAYS_S),
    "retry_delay_seconds": DELAYS_S,
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _worth_it,
    # Or Prefect, where it is told to keep results by default, answers a run's second call of a task
    # from the first: docs/adr/0017.
    "persist_result": False,
}
"""Options of every task; its work must be idempotent."""
