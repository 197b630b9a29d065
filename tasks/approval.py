"""Approvals in the store: asked once per decision, answered once, expired to refused.

`approvals/<name>/<decision>/ask.json` and `answer.json`, both put-if-absent: the first one counts.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from records.approval import Answer, Ask
from tasks.decide import DecisionError, read_decision
from tasks.objects import MissingObject, Store

log = logging.getLogger("refit")


class NotAsked(DecisionError):
    """Nobody asked for this approval, or it was answered before."""


def ask(store: Store, name: str, decision_digest: str, flow_run_id: str, hours: float) -> Ask:
    """The ask for a decision; the one that is there already, or a new one."""
    now = datetime.now(UTC)
    new = Ask(
        name=name,
        decision_digest=decision_digest,
        flow_run_id=flow_run_id,
        asked=now.isoformat(timespec="seconds"),
        expires=(now + timedelta(hours=hours)).isoformat(timespec="seconds"),
    )
    key = _key(name, decision_digest, "ask")
    store.put_if_absent(key, new.to_json())
    return Ask.from_json(store.read(key))


def answer(
    store: Store, name: str, decision_digest: str, *, is_approved: bool, approver: str, reason: str
) -> Answer:
    """Write a person's answer.

    Raises:
        NotAsked: nobody asked, or there is another answer already.
        DecisionError: the decision's bytes were changed.
    """
    read_decision(store, name, decision_digest)
    try:
        asked = Ask.from_json(store.read(_key(name, decision_digest, "ask")))
    except MissingObject as exc:
        raise NotAsked(
            f"decision {decision_digest[:12]} of {name!r} does not wait for approval"
        ) from exc
    if read_answer(store, asked) is None:
        _put(store, asked, is_approved, approver, reason)
    found = read_answer(store, asked)
    assert found is not None
    if (found.is_approved, found.approver) != (is_approved, approver):
        who = found.approver or "the clock"
        raise NotAsked(
            f"decision {decision_digest[:12]} of {name!r} was answered by {who}: "
            f"{'approved' if found.is_approved else 'refused'}, {found.reason}"
        )
    return found


def read_answer(store: Store, asked: Ask) -> Answer | None:
    """The answer; where the time is over without one, the clock's refusal. None: wait on."""
    key = _key(asked.name, asked.decision_digest, "answer")
    if store.exists(key):
        return Answer.from_json(store.read(key))
    if datetime.now(UTC) < datetime.fromisoformat(asked.expires):
        return None
    _put(store, asked, False, "", f"nobody answered until {asked.expires}")
    return Answer.from_json(store.read(key))


def asks(store: Store, name: str = "") -> Iterator[tuple[Ask, Answer | None]]:
    """Everything that was asked, of one model or of all, with its answer."""
    for key in store.list(f"approvals/{name}" if name else "approvals"):
        if key.endswith("/ask.json"):
            asked = Ask.from_json(store.read(key))
            yield asked, read_answer(store, asked)


def asked_before(store: Store, name: str, flow_run_id: str) -> Ask | None:
    """What this Prefect run asked when it was suspended; None: nothing."""
    if not flow_run_id:
        return None
    return next((a for a, _ in asks(store, name) if a.flow_run_id == flow_run_id), None)


def _put(store: Store, asked: Ask, is_approved: bool, approver: str, reason: str) -> None:
    given = Answer(
        decision_digest=asked.decision_digest,
        is_approved=is_approved,
        approver=approver,
        reason=reason,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    store.put_if_absent(_key(asked.name, asked.decision_digest, "answer"), given.to_json())


def _key(name: str, decision_digest: str, what: str) -> str:
    return f"approvals/{name}/{decision_digest}/{what}.json"
