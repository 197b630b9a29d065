"""Approvals in the store: asked once per decision, answered once, expired to refused.

`approvals/<name>/<decision>/ask.json` and `answer.json`, both put-if-absent: the first one counts.
One run waits for an answer; another takes its place only when that one is over. Both are stamped, for
an approver's name goes into the ledger; those of older versions were not, and are read as they are.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from records.approval import Answer, Ask
from tasks.decide import DecisionError, read_decision
from tasks.objects import CorruptObject, MissingObject, Store
from tasks.stamped import put_stamped, read_stamped, write_stamped

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
    put_stamped(store, key, new)
    return _read_ask(store, key)


def ask_instead(store: Store, asked: Ask, flow_run_id: str) -> None:
    """From now on this Prefect run waits for the answer; it is due when it was."""
    new = asked.model_copy(update={"flow_run_id": flow_run_id})
    write_stamped(store, _key(asked.name, asked.decision_digest, "ask"), new)


def answer(
    store: Store, name: str, decision_digest: str, *, is_approved: bool, approver: str, reason: str
) -> Answer:
    """Write a person's answer.

    Raises:
        NotAsked: nobody asked, or there is another answer already.
        DecisionError: the decision's bytes were changed.
        CorruptObject: the ask's or the answer's were.
    """
    read_decision(store, name, decision_digest)
    try:
        asked = _read_ask(store, _key(name, decision_digest, "ask"))
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
        return read_stamped(store, key, Answer, may_be_bare=True)
    if datetime.now(UTC) < datetime.fromisoformat(asked.expires):
        return None
    _put(store, asked, False, "", f"nobody answered until {asked.expires}")
    return read_stamped(store, key, Answer, may_be_bare=True)


def asks(store: Store, name: str = "") -> Iterator[tuple[Ask, Answer | None]]:
    """Everything that was asked, of one model or of all, with its answer; a damaged one is said and
    passed over: it must not stop what looks after all models."""
    for key in store.list(f"approvals/{name}" if name else "approvals"):
        if not key.endswith("/ask.json"):
            continue
        try:
            asked = _read_ask(store, key)
            given = read_answer(store, asked)
        except CorruptObject as exc:
            log.error("%s", exc)
            continue
        yield asked, given


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
    put_stamped(store, _key(asked.name, asked.decision_digest, "answer"), given)


def _read_ask(store: Store, key: str) -> Ask:
    return read_stamped(store, key, Ask, may_be_bare=True)


def _key(name: str, decision_digest: str, what: str) -> str:
    return f"approvals/{name}/{decision_digest}/{what}.json"
