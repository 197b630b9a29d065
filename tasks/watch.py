"""Watch: whether a recipe's data has news, and the event that says so.

News are announced once they stand still for two looks, so that files which are still arriving start
one run and not many; and at least once, since a run with nothing new ends as unchanged.
"""

import logging
from typing import Literal

from prefect import task
from prefect.events import emit_event

from records.data import SnapshotRef
from records.watch import Seen
from tasks.objects import Store
from tasks.place import Place
from tasks.retries import RETRIED

log = logging.getLogger("refit")

EVENT = "refit.new-data"
News = Literal["new", "arriving", "too few", "none"]


def resource_id(name: str) -> str:
    """Prefect's id of a recipe's data, by which automations find it."""
    return f"refit.data.{name}"


@task(name="announce", task_run_name="announce new data, if there is any", **RETRIED)
def announce(place: Place, name: str, now: SnapshotRef, min_new_rows: int) -> News:
    """Emit the event where there are news that stand still; remember this look.

    Args:
        place: where things are.
        name: of the recipe.
        now: the snapshot of this look.
        min_new_rows: fewer rows more than last announced are no news.
    """
    store = place.open()
    before = read_seen(store, name)
    verdict = judge(before, now, min_new_rows)
    seen = Seen(
        snapshot_digest=now.snapshot_digest,
        announced_digest=before.announced_digest if before else "",
        announced_rows=before.announced_rows if before else 0,
    )
    if verdict == "new":
        num_new = now.num_rows - seen.announced_rows
        emit_event(
            event=EVENT,
            resource={"prefect.resource.id": resource_id(name), "prefect.resource.name": name},
            payload={"snapshot": now.snapshot_digest, "rows": now.num_rows, "new_rows": num_new},
        )
        log.info("%d new rows of %s announced", num_new, name)
        seen = seen.model_copy(
            update={"announced_digest": now.snapshot_digest, "announced_rows": now.num_rows}
        )
    store.write(_key(name), seen.to_json())
    return verdict


def judge(before: Seen | None, now: SnapshotRef, min_new_rows: int) -> News:
    """Whether there are news, by what was seen before."""
    if before is not None and now.snapshot_digest == before.announced_digest:
        return "none"
    if before is None or now.snapshot_digest != before.snapshot_digest:
        return "arriving"
    if now.num_rows - before.announced_rows < min_new_rows:
        return "too few"
    return "new"


def read_seen(store: Store, name: str) -> Seen | None:
    """What the last look left; None: nobody has looked."""
    key = _key(name)
    return Seen.from_json(store.read(key)) if store.exists(key) else None


def _key(name: str) -> str:
    return f"watch/{name}.json"
