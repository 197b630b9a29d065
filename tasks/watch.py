"""Watch: whether a recipe's data has news, and the event that says so.

A look lists what is there; while that is the same, no row is read. Else it waits until the files
stand still, so that files which are still arriving start one run and not many, reads the rows, and
announces them if enough are new; at least once, since a run with nothing new ends as unchanged.
"""

import logging
import time
from typing import Literal

from prefect import task

from data_checks.config import DataConfig
from records.base import digest_of
from records.data import SnapshotRef
from records.watch import Seen
from tasks.objects import Store
from tasks.orchestrator import send_event, was_crowded_out
from tasks.place import Place
from tasks.retries import RETRIED
from tasks.sources import source_marks

log = logging.getLogger("refit")

EVENT = "refit.new-data"
WRITTEN = "refit.objects-written"
"""Somebody says that something was written there; whether it is news, a look finds out."""
MOST_WAITS = 20
News = Literal["new", "arriving", "too few", "none"]


def resource_id(name: str) -> str:
    """Prefect's id of a recipe's data, by which automations find it."""
    return f"refit.data.{name}"


@task(name="look", task_run_name="look whether the data has changed", **RETRIED)
def look(
    place: Place, name: str, data: DataConfig, min_new_rows: int, settle_s: float
) -> tuple[str, Literal["none", "arriving", "changed"]]:
    """Digest of what lies where the data is, and whether that changed since the rows were read.

    Raises:
        StoreError: S3 refuses or does not answer.
    """
    before = read_seen(place.open(), name)
    marks = _marks(place, data, min_new_rows)
    if before is not None and marks == before.marks_digest:
        return marks, "none"
    for _ in range(MOST_WAITS):
        time.sleep(settle_s)
        if (now := _marks(place, data, min_new_rows)) == marks:
            return marks, "changed"
        marks = now
    return marks, "arriving"


@task(name="announce", task_run_name="announce new data, if there is any", **RETRIED)
def announce(place: Place, name: str, now: SnapshotRef, marks: str, min_new_rows: int) -> News:
    """Emit the event where there are enough new rows; remember this look.

    Args:
        place: where things are.
        name: of the recipe.
        now: the snapshot of this look.
        marks: of what lay there before the rows were read.
        min_new_rows: fewer rows more than last announced are no news.
    """
    store = place.open()
    seen = read_seen(store, name) or Seen(snapshot_digest="")
    verdict = judge(seen, now, min_new_rows)
    if verdict == "new":
        num_new = now.num_rows - seen.announced_rows
        rows = {"snapshot": now.snapshot_digest, "rows": now.num_rows, "new_rows": num_new}
        send_event(EVENT, resource_id(name), name, rows)
        log.info("%d new rows of %s announced", num_new, name)
        announced = {"announced_digest": now.snapshot_digest, "announced_rows": now.num_rows}
        seen = seen.model_copy(update=announced)
    looked = {"snapshot_digest": now.snapshot_digest, "marks_digest": marks}
    store.write(_key(name), seen.model_copy(update=looked).to_json())
    return verdict


def announce_again(place: Place, name: str) -> bool:
    """Emit the latest event once more where the run that it started was cancelled for another one.

    That one had read the rows before the news came.
    """
    seen = read_seen(place.open(), name)
    if seen is None or not seen.announced_digest or not was_crowded_out("retrain", name):
        return False
    rows = {"snapshot": seen.announced_digest, "rows": seen.announced_rows, "new_rows": 0}
    send_event(EVENT, resource_id(name), name, rows)
    log.info("%s announced again: the run was cancelled because another one went on", name)
    return True


def judge(seen: Seen, now: SnapshotRef, min_new_rows: int) -> News:
    """Whether there are news, by what was announced before."""
    if now.snapshot_digest == seen.announced_digest:
        return "none"
    return "new" if now.num_rows - seen.announced_rows >= min_new_rows else "too few"


def read_seen(store: Store, name: str) -> Seen | None:
    """What the last look left; None: nobody has looked."""
    key = _key(name)
    return Seen.from_json(store.read(key)) if store.exists(key) else None


def _marks(place: Place, data: DataConfig, min_new_rows: int) -> str:
    """With all that a verdict rests on: what is asked otherwise is looked at again."""
    return digest_of([data.model_dump(mode="json"), min_new_rows, source_marks(data, place.s3)])


def _key(name: str) -> str:
    return f"watch/{name}.json"
