"""gate.approval: required: a person has the last word, in time, about what the gate decided."""

import pytest

from deployments.exits import Exit
from flows.approval import approved
from tasks.approval import NotAsked, answer, asks
from tasks.changes import override, rebase
from tasks.ledger import LedgerError
from tasks.stamped import write_stamped
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

REQUIRED = "gate.approval=required"


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
