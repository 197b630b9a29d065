"""Pins: "I am about to look whether this exists", so that gc leaves it alone for a while.

`pins/<unit>/<day>` is written before the look, never after it: gc rereads the pins between the
removal of a manifest and of what it names (tasks/garbage.py). Nobody takes a pin out; it ages.
"""

from datetime import UTC, date, datetime, timedelta

from tasks.objects import Store

PIN_DAYS = 30
"""Longer than any run."""


def pin(store: Store, unit: str) -> None:
    """Keep `unit` (`models/<digest>`, `data/<key>`, ...) for PIN_DAYS from today."""
    store.write(f"pins/{unit}/{datetime.now(UTC).date().isoformat()}", b"")


def is_pinned(store: Store, unit: str, now: datetime) -> bool:
    """Whether a pin of `unit` is not yet too old."""
    return any(not is_old(key, now) for key in store.list(f"pins/{unit}"))


def is_old(key: str, now: datetime) -> bool:
    """Whether a pin's key names a day that is too long ago; what is no day never ages."""
    try:
        day = date.fromisoformat(key.rsplit("/", 1)[-1])
    except ValueError:
        return False
    return day < (now - timedelta(days=PIN_DAYS)).date()
