"""The trash of a store: `trash/<day>/<key>`, from which a person can bring things back."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from tasks.objects import Store

TRASH_DAYS = 7
"""Days that something stays in the trash."""


def copy_to_trash(store: Store, keys: Iterable[str], now: datetime, scratch: Path) -> str:
    """Copy objects of any size into the trash; gives the folder of the day."""
    folder = f"trash/{now.date().isoformat()}"
    for key in keys:
        copy_object(store, key, f"{folder}/{key}", scratch)
    return folder


def copy_object(store: Store, source: str, target: str, scratch: Path) -> None:
    """Copy one object through this machine."""
    copy = scratch / uuid4().hex
    try:
        store.download(source, copy)
        store.upload(target, copy)
    finally:
        copy.unlink(missing_ok=True)


def expired(store: Store, now: datetime) -> list[str]:
    """Keys in the trash whose day is over."""
    return [key for key in store.list("trash") if _is_over(key, now)]


def _is_over(key: str, now: datetime) -> bool:
    try:
        day = date.fromisoformat(key.split("/")[1])
    except ValueError:
        return False
    return day < (now - timedelta(days=TRASH_DAYS)).date()
