"""gate.approval: required: a person has the last word, in time, about what the gate decided."""

import shutil
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Pending, Running

from deployments.exits import Exit
from flows.approval import approved
from flows.reconcile import settle
from tasks.approval import NotAsked, answer, asks
from tasks.changes import override, rebase
from tasks.ledger import LedgerError
from tasks.live import report_metric
from tasks.publish import read_document, report_key
from tasks.stamped import write_stamped
from tests.deployed import carry_out, deployed, start
from tests.tiny import write_csv
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

REQUIRED = "gate.approval=required"
YES = {"decision": "approve", "approver": "Ann Lee", "reason": "read it"}


def suspended(world: World) -> UUID:
    """A run of a deployment that waits for a person."""
    run_id = start(deployed(world.recipe(RIVAL, REQUIRED)))
    assert state_name(carry_out(run_id, world)) == "Suspended"
    return run_id


def state_name(run: FlowRun) -> str:
    """Of the state that it is in; with what that says, where it is a fault."""
    assert run.state is not None
    is_fault = run.state.is_failed() or run.state.is_crashed()
    return f"{run.state.name}: {run.state.message}" if is_fault else str(run.state.name)


def resume(run_id: UUID, **form: str) -> str:
    """What Prefect says to whoever resumes a run by its API with the form filled in so."""
    with get_client(sync_client=True) as client:
        path, body = {"id": run_id}, {"run_input": form}
        answer = client.request("POST", "/flow_runs/{id}/resume", path_params=path, json=body)
    found: str = answer.raise_for_status().json()["status"]
    return found


def state_of(run_id: UUID) -> tuple[str, str]:
    """Name and message of the run's state."""
    with get_client(sync_client=True) as client:
        state: Any = client.read_flow_run(run_id).state
    return state.name, state.message


def answer_elsewhere(world: World, *, is_approved: bool) -> str:
    """As `refit approve` does, of the one decision that waits; gives its digest."""
    ((asked, _),) = asks(world.store, NAME)
    digest = asked.decision_digest
    answer(world.store, NAME, digest, is_approved=is_approved, approver="Ann Lee", reason="read it")
    return digest


def test_nothing_is_promoted_before_a_person_approves_and_the_ledger_names_them(
    promoted: World,
) -> None:
    recipe, throne = promoted.recipe(RIVAL, REQUIRED), promoted.throne()
    waiting = promoted.run(recipe)
    assert waiting.outcome == "waiting"
    assert Exit.of_outcome(waiting.outcome) == 5
    assert promoted.throne() == throne
    digest = waiting.decision_digest
    answer(promoted.store, NAME, digest, is_approved=True, approver="Ann Lee", reason="read it")
    done = promoted.run(recipe)
    assert (done.outcome, done.version) == ("promoted", "3")
    assert promoted.entries[-1].approver == "Ann Lee"
    with pytest.raises(NotAsked, match="answered by Ann Lee: approved"):
        answer(promoted.store, NAME, digest, is_approved=False, approver="Bob", reason="late")


def test_what_a_person_refused_or_nobody_answered_is_refused(promoted: World) -> None:
    throne = promoted.throne()
    soon = promoted.recipe(RIVAL, REQUIRED, "gate.approval_hours=1.0e-7")
    assert promoted.run(soon).outcome == "declined"
    ((_, expired),) = asks(promoted.store, NAME)
    assert expired is not None
    assert (expired.approver, expired.is_approved) == ("", False)
    assert "nobody answered" in expired.reason
    assert promoted.throne() == throne


def test_a_suspended_run_goes_on_only_by_a_whole_form_and_a_refusal_declines(
    promoted: World,
) -> None:
    throne, run_id = promoted.throne(), suspended(promoted)
    whole = {"decision": "refuse", "approver": "Ann Lee", "reason": "wrong labels"}
    for form in (
        {},
        {**whole, "approver": "A"},
        {**whole, "reason": "no"},
        {**whole, "decision": "perhaps"},
    ):
        assert resume(run_id, **form) == "REJECT", form
    assert state_of(run_id)[0] == "Suspended"
    assert resume(run_id, **whole) == "ACCEPT"
    assert state_name(carry_out(run_id, promoted)) == "Declined"
    ((_, given),) = asks(promoted.store, NAME)
    assert given is not None
    assert (given.is_approved, given.approver, given.reason) == (False, "Ann Lee", "wrong labels")
    assert promoted.throne() == throne


def test_a_suspended_run_that_nobody_answers_in_time_is_ended_as_declined(
    promoted: World,
) -> None:
    throne, run_id = promoted.throne(), suspended(promoted)
    settle(promoted.place)
    assert state_of(run_id)[0] == "Suspended", "there is time left"
    ((asked, given),) = asks(promoted.store, NAME)
    assert (asked.flow_run_id, given) == (str(run_id), None)
    over = asked.model_copy(update={"expires": "2026-01-01T00:00:00+00:00"})
    write_stamped(promoted.store, f"approvals/{NAME}/{asked.decision_digest}/ask.json", over)
    settle(promoted.place)
    assert state_of(run_id) == ("Declined", f"nobody answered until {over.expires}")
    assert resume(run_id, decision="approve", approver="Bob", reason="late") == "ABORT"
    assert promoted.throne() == throne


def test_an_approval_does_not_outlive_the_champion_it_was_given_against(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = promoted.recipe(RIVAL, REQUIRED)
    first = promoted.run(recipe).decision_digest
    answer(promoted.store, NAME, first, is_approved=True, approver="Ann Lee", reason="read it")
    rebase(promoted.place, NAME, actor="ann", reason="something else came first")
    again = promoted.run(recipe)
    assert again.outcome == "waiting"
    assert again.decision_digest != first
    # A run that was suspended over the first decision, and is resumed after the change:
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "f")
    key = f"approvals/{NAME}/{first}/ask.json"
    asked = next(a for a, _ in asks(promoted.store, NAME) if a.decision_digest == first)
    write_stamped(promoted.store, key, asked.model_copy(update={"flow_run_id": "f"}))
    late = approved(promoted.store, NAME, again.decision_digest, 1.0, lambda: "")
    assert late is not None
    assert not late.is_approved
    assert "champion changed" in late.reason


def test_an_approval_counts_for_what_was_asked_whatever_rows_came_or_its_page_says_by_then(
    promoted: World,
) -> None:
    rows = promoted.home / "rows.csv"
    shutil.copy(promoted.files / "good.csv", rows)
    recipe = promoted.recipe(RIVAL, REQUIRED, f"data.train={rows}")
    run_id = start(deployed(recipe))
    assert state_name(carry_out(run_id, promoted)) == "Suspended"
    ((asked, _),) = asks(promoted.store, NAME)
    trained = list(promoted.store.list("trains"))
    write_csv(rows, num_rows=900)
    page = read_document(promoted.store, NAME, asked.decision_digest)
    assert page is not None
    other = page.train.model_copy(update={"model_key": promoted.entries[-1].model_uri})
    forged = page.model_copy(update={"train": other})
    promoted.store.write(report_key(NAME, asked.decision_digest), forged.to_json())
    assert resume(run_id, **YES) == "ACCEPT"
    assert state_name(carry_out(run_id, promoted)) == "Promoted"
    entry = promoted.entries[-1]
    assert (entry.decision_digest, entry.approver) == (asked.decision_digest, "Ann Lee")
    assert entry.model_uri == page.train.model_key
    assert list(promoted.store.list("trains")) == trained, "nothing is trained anew"
    document = read_document(promoted.store, NAME, asked.decision_digest)
    assert document is not None
    assert (document.outcome, document.model_version) == ("promoted", promoted.alias)


def test_a_decision_is_asked_about_once_and_its_form_counts_after_later_runs(
    promoted: World,
) -> None:
    """Night after night nobody answers: one run waits, also after it was cancelled; then rows come."""
    rows = promoted.home / "rows.csv"
    shutil.copy(promoted.files / "good.csv", rows)
    deployment = deployed(promoted.recipe(RIVAL, REQUIRED, f"data.train={rows}"))
    first, second, third = (start(deployment) for _ in range(3))
    assert state_name(carry_out(first, promoted)) == "Suspended"
    assert state_name(carry_out(second, promoted)) == "Waiting"
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(first, Cancelled(), force=True)
    assert state_name(carry_out(third, promoted)) == "Suspended"
    ((asked, _),) = asks(promoted.store, NAME)
    write_csv(rows, num_rows=900)
    assert resume(third, **YES) == "ACCEPT"
    assert state_name(carry_out(third, promoted)) == "Promoted"
    assert promoted.entries[-1].decision_digest == asked.decision_digest


def test_a_suspended_run_acts_on_an_approval_that_was_given_elsewhere_whatever_rows_came(
    promoted: World,
) -> None:
    rows = promoted.home / "rows.csv"
    shutil.copy(promoted.files / "good.csv", rows)
    run_id = start(deployed(promoted.recipe(RIVAL, REQUIRED, f"data.train={rows}")))
    assert state_name(carry_out(run_id, promoted)) == "Suspended"
    digest = answer_elsewhere(promoted, is_approved=True)
    write_csv(rows, num_rows=900)
    settle(promoted.place)
    assert state_of(run_id) == ("Resuming", "approved by Ann Lee")
    assert state_name(carry_out(run_id, promoted)) == "Promoted"
    assert promoted.entries[-1].decision_digest == digest
    assert promoted.entries[-1].approver == "Ann Lee"


@pytest.mark.parametrize(
    ("is_approved", "ended"),
    [
        (False, ("Declined", "read it")),
        (True, ("Unchanged", "approved by Ann Lee; the ledger went on")),
    ],
)
def test_a_suspended_run_ends_whose_answer_came_elsewhere_and_leaves_nothing_to_do(
    promoted: World, is_approved: bool, ended: tuple[str, str]
) -> None:
    run_id = suspended(promoted)
    answer_elsewhere(promoted, is_approved=is_approved)
    if is_approved:
        assert promoted.run(promoted.recipe(RIVAL, REQUIRED)).outcome == "promoted"
    settle(promoted.place)
    assert state_of(run_id) == ended


def test_a_run_that_comes_back_to_another_head_is_declined(promoted: World) -> None:
    run_id = suspended(promoted)
    rebase(promoted.place, NAME, actor="ann", reason="something else came first")
    throne = promoted.throne()
    assert resume(run_id, **YES) == "ACCEPT"
    assert state_name(carry_out(run_id, promoted)) == "Declined"
    assert promoted.throne() == throne


def test_a_run_that_brings_an_answer_waits_for_another_that_goes_on(promoted: World) -> None:
    deployment = deployed(promoted.recipe(RIVAL, REQUIRED))
    run_id = start(deployment)
    assert state_name(carry_out(run_id, promoted)) == "Suspended"
    nightly = start(deployment)
    with get_client(sync_client=True) as client:
        for state in (Pending(), Running()):
            client.set_flow_run_state(nightly, state)
        assert resume(run_id, **YES) == "ACCEPT"
        client.set_flow_run_state(run_id, Pending())  # as a worker does
        assert state_of(run_id)[0] == "AwaitingConcurrencySlot"
        client.set_flow_run_state(nightly, Completed())
    assert state_name(carry_out(run_id, promoted)) == "Promoted"
    assert promoted.entries[-1].approver == "Ann Lee"


@pytest.mark.parametrize("left", ["waiting", "nothing"])
def test_the_page_of_a_promotion_that_was_killed_is_written_by_the_next_run(
    promoted: World, left: str
) -> None:
    """Killed between ledger and page: that one says "waiting", or there is none; then rows come.

    What the page says is of the promotion; of the next run, who asks otherwise, it says nothing.
    """
    entry = promoted.entries[-1]
    digest = entry.decision_digest
    whole = read_document(promoted.store, NAME, digest)
    assert whole is not None
    key = report_key(NAME, digest)
    half = whole.model_copy(update={"outcome": "waiting", "model_version": ""})
    promoted.store.delete(key)
    if left == "waiting":
        promoted.store.write(key, half.to_json())
    others = (
        "gate.margin=0.1",
        "live={max_drop: 0.1, reference: 0.5}",
        "description=of the next run",
    )
    promoted.run(promoted.recipe(RIVAL, *others), "dry run", actor="bob", reason="next night")
    found = read_document(promoted.store, NAME, digest)
    assert found is not None
    assert (found.outcome, found.model_version) == ("promoted", "2")
    assert (found.data, found.train, found.power) == (whole.data, whole.train, whole.power)
    assert (found.actor, found.reason, found.time) == (entry.actor, "", entry.time)
    page = promoted.store.read(key.replace("document.json", "report.html")).decode()
    assert "next night" not in page
    if left == "waiting":
        assert (found.recipe, found.costs) == (whole.recipe, whole.costs)
    else:
        assert (found.recipe, found.costs) == ({}, ())
        assert "Not known: the run was killed before it wrote this page" in page
    _, judged = report_metric(promoted.store, NAME, 1.0, actor="monitor")
    assert judged.reference == found.file.record.challenger.metrics["accuracy"]


def test_only_an_override_passes_a_refusal_and_it_needs_a_name_and_a_reason(
    promoted: World,
) -> None:
    refused = promoted.run(promoted.recipe(RIVAL, REQUIRED, "gate.minimum=0.9999"))
    assert refused.outcome == "refused"
    digest = refused.decision_digest
    with pytest.raises(NotAsked, match="does not wait for approval"):
        answer(promoted.store, NAME, digest, is_approved=True, approver="Ann Lee", reason="please")
    for actor, reason in (("", "because"), ("Ann Lee", " ")):
        with pytest.raises(LedgerError, match="needs the name"):
            override(promoted.place, NAME, digest, actor=actor, reason=reason)
    entry = override(promoted.place, NAME, digest, actor="Ann Lee", reason="legal wants it")
    assert (entry.action, entry.actor, entry.is_anchor) == ("override", "Ann Lee", False)
    assert promoted.alias == entry.version == "3"
    assert "against the gate" in promoted.registry.versions(NAME)[-1].description
