"""Tasks whose results lie in the store by digest: whether one was made or found is shown in Prefect.

Prefect's own persisted results are not used: they would be a second copy of every result, which no
digest protects and `refit gc` does not know.
"""

import functools
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, TypeVar

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.retries import RETRIED

log = logging.getLogger("refit")

P = ParamSpec("P")
R = TypeVar("R")

_reason: ContextVar[str] = ContextVar("reason", default="")


def was_found(reason: str) -> None:
    """Say that this task's result was there before: the log has it, and the task run is Cached."""
    log.info("%s", reason)
    _reason.set(reason)


class KeptTask(Generic[P, R]):
    """A task that is retried, and ends as Cached where its function said `was_found`; `fn` is the function."""

    def __init__(self, fn: Callable[P, R], name: str, run_name: str) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self._task = task(name=name, task_run_name=run_name, **RETRIED)(self._shown(fn))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in Prefect; gives what the function gives."""
        result: Any = self._task(*args, **kwargs)
        value: R = result.result() if isinstance(result, State) else result
        return value

    @staticmethod
    def _shown(fn: Callable[P, R]) -> Callable[P, Any]:
        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            _reason.set("")
            value = fn(*args, **kwargs)
            if reason := _reason.get():
                return Completed(name="Cached", message=reason, data=value)
            return value

        return call


def kept_task(*, name: str, run_name: str) -> Callable[[Callable[P, R]], KeptTask[P, R]]:
    """Makes a KeptTask of a function."""
    return lambda fn: KeptTask(fn, name, run_name)
