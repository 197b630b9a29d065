"""What is worth trying again: faults of services, never refusals."""

from typing import Any

from tasks.objects import StoreUnreachable

DELAYS_S = [1.0, 5.0, 20.0, 60.0]


def may_pass(exc: BaseException | None) -> bool:
    """Whether a fault may be gone at the next try: time-outs, broken connections, server errors."""
    if exc is None:
        return False
    status = getattr(exc, "get_http_status_code", None)  # MLflow's errors carry their status
    if callable(status):
        return bool(status() >= 500)
    return isinstance(exc, StoreUnreachable | ConnectionError | TimeoutError)


def _worth_it(task: Any, run: Any, state: Any) -> bool:
    try:
        state.result()
    except BaseException as exc:
        return may_pass(exc)
    return False


RETRIED: dict[str, Any] = {
    "retries": len(DELAYS_S),
    "retry_delay_seconds": DELAYS_S,
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _worth_it,
}
"""Options of every task that talks to a service; its work must be idempotent."""
