"""Live metrics: what production reports of a champion is kept, and a fall that lasts starts a run.

The rule: the latest `num_reports` reports of a metric, all of the present champion, lie more than
`max_drop` below the reference (above it, for a loss). One report is never enough, and a good one
between begins the count anew. A fall that lasts starts a run again after twice as many reports,
then four times, and so on, so that it neither is forgotten nor starts one with each report.

`reported/<model>/<metric>/<time>-<random>.json`, put-if-absent: nothing is ever changed.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from records.decision import GateRecord
from records.document import DecisionDocument
from records.ledger import LedgerEntry
from records.live import Judged, LivePolicy, Reported
from records.policy import HIGHER_IS_BETTER
from tasks.decide import read_decision
from tasks.ledger import LedgerError, champion, history
from tasks.objects import MissingObject, Store
from tasks.orchestrator import send_event
from tasks.stamped import put_stamped, read_stamped

EVENT = "refit.metric-fell"
METRIC = re.compile(r"[A-Za-z0-9_.-]{1,100}")
MOST_DOUBLINGS = 6


class LiveError(LedgerError):
    """A report that cannot be kept or judged as asked."""


def resource_id(name: str) -> str:
    """Prefect's id of a model's live metric, by which automations find it."""
    return f"refit.live.{name}"


def report_metric(
    store: Store,
    name: str,
    value: float,
    *,
    actor: str,
    policy: LivePolicy | None = None,
    metric: str | None = None,
) -> tuple[Reported, Judged]:
    """Keep a figure, judge it with those before, and emit the event where they show a fall.

    Args:
        store: where ledger and reports are.
        name: registered model.
        value: of the metric.
        actor: who reports.
        policy: absent: the `live` part of the recipe that made the champion, or the defaults.
        metric: absent: the policy's, or else the gate's. Another one than these is kept, not judged.

    Raises:
        LiveError: there is no champion, the value is no number, or the metric is none.
        ConnectionError: a fall, but Prefect does not answer; the report is kept.
    """
    entries = history(store, name)
    live = champion(entries)
    if live is None:
        raise LiveError(f"{name!r} has no champion, so a figure of it cannot be kept")
    record, own = _origin(store, name, entries, live)
    policy = policy or own or LivePolicy()
    watched = policy.metric or (record.policy.metric if record else "")
    metric = metric or watched
    if not METRIC.fullmatch(metric) or set(metric) == {"."}:
        raise LiveError(f"metric {metric!r} is no name; give --metric, e.g. accuracy")
    if not abs(value) < float("inf"):
        raise LiveError(f"{metric} {value} is no finite number")
    now = datetime.now(UTC)
    said = Reported(
        name=name, metric=metric, value=value, version=live.version,
        model_digest=live.model_digest, actor=actor, time=now.isoformat(),
    )  # fmt: skip
    stamp = now.strftime("%Y%m%dT%H%M%S.%f")
    put_stamped(store, f"reported/{name}/{metric}/{stamp}-{uuid4().hex[:8]}.json", said)
    figure = policy.reference if metric == watched else None
    if figure is None and metric == watched and record is not None:
        figure = record.challenger.metrics.get(metric)
    judged = judge(latest(store, name, metric), policy, figure, live.model_digest)
    if judged.is_fall:
        _announce(said, judged)
    return said, judged


def judge(
    reports: Iterator[Reported], policy: LivePolicy, reference: float | None, model_digest: str
) -> Judged:
    """What the reports of one metric mean, the latest first.

    Args:
        reports: the latest first; read no further than needed.
        policy: the limit and how many must lie beyond it.
        reference: what they are held against; None: nothing is judged.
        model_digest: of the champion; reports of others end the row.
    """
    if reference is None:
        return Judged(reference=None)
    num_beyond, most = 0, policy.num_reports << MOST_DOUBLINGS
    for found in reports:
        sign = 1 if HIGHER_IS_BETTER.get(found.metric, True) else -1
        is_beyond = round(sign * (reference - found.value), 9) > policy.max_drop
        if found.model_digest != model_digest or not is_beyond or num_beyond > most:
            break
        num_beyond += 1
    times, rest = divmod(num_beyond, policy.num_reports)
    is_fall = not rest and times > 0 and times & (times - 1) == 0 and num_beyond <= most
    return Judged(reference=reference, num_beyond=num_beyond, is_fall=is_fall)


def latest(store: Store, name: str, metric: str) -> Iterator[Reported]:
    """Reports of a metric, the latest first."""
    for key in reversed(list(store.list(f"reported/{name}/{metric}"))):
        yield read_stamped(store, key, Reported)


def latest_of_each(store: Store, name: str) -> Mapping[str, Reported]:
    """The latest report by metric."""
    newest: dict[str, str] = {}
    for key in store.list(f"reported/{name}"):
        newest[key.split("/")[2]] = key
    return {metric: read_stamped(store, key, Reported) for metric, key in newest.items()}


def _origin(
    store: Store, name: str, entries: tuple[LedgerEntry, ...], live: LedgerEntry
) -> tuple[GateRecord | None, LivePolicy | None]:
    """What the champion was promoted on: the evidence, and the `live` part of its recipe.

    A champion that came back by rollback has an earlier entry that says so; an adopted one has none.
    """
    crowned = (e for e in reversed(entries) if e.model_digest == live.model_digest)
    digest = next((e.decision_digest for e in crowned if e.decision_digest), "")
    if not digest:
        return None, None
    from tasks.publish import report_key  # loads MLflow, which `refit lookup` can do without

    record = read_decision(store, name, digest).record
    try:
        recipe = DecisionDocument.from_json(store.read(report_key(name, digest))).recipe
    except MissingObject:  # killed before its report was written
        return record, None
    return record, LivePolicy.model_validate(recipe["live"]) if recipe.get("live") else None


def _announce(said: Reported, judged: Judged) -> None:
    send_event(
        EVENT,
        resource_id(said.name),
        said.name,
        {**said.model_dump(mode="json"), **judged.model_dump(mode="json")},
    )
