"""What people do to a ledger by hand, and what it does to the alias."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from deployments.exits import Exit, explain_exception
from models.predict import Classifier
from records.ledger import LedgerEntry
from tasks.changes import adopt, override, override_card, rebase, release, retire, roll_back
from tasks.ledger import (
    AliasBehind,
    LedgerError,
    NoRollback,
    anchor,
    append,
    barred_digests,
    champion,
    is_held,
)
from tasks.pins import is_pinned
from tasks.promote import draft_entry
from tasks.reconcile import LedgerBehindMirror, reconcile
from tasks.registry import TAG_DIGEST, Registry, RegistryError
from tests.world import EXAMPLES, NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def test_adopt_stores_the_model_and_begins_the_ledger(adopted: World) -> None:
    (entry,) = adopted.entries
    assert (entry.action, entry.version, entry.actor) == ("adopt", "1", "ann")
    assert champion(adopted.entries) == anchor(adopted.entries) == entry
    assert adopted.alias == "1"
    assert adopted.registry.versions(NAME)[0].tags[TAG_DIGEST] == entry.model_digest
    classifier = Classifier.load(adopted.path(entry.model_uri))
    probabilities_NC, _ = classifier.probabilities(EXAMPLES)
    best = probabilities_NC.argmax(axis=1)
    assert [classifier.labels[i] for i in best] == ["positive", "negative"]


def test_adopt_refuses_a_name_with_a_ledger(adopted: World) -> None:
    before = adopted.throne()
    with pytest.raises(LedgerError, match="has a ledger already"):
        adopt(adopted.place, NAME, "1", actor="ann", reason="")
    assert adopted.throne() == before


def test_adopt_refuses_a_version_that_is_not_there(adopted: World) -> None:
    keys = sorted(adopted.store.list())
    with pytest.raises(RegistryError, match="models:/other/1 cannot be fetched"):
        adopt(adopted.place, "other", "1", actor="ann", reason="")
    assert sorted(adopted.store.list()) == keys


def test_roll_back_brings_the_earlier_champion_back_bars_and_holds(promoted: World) -> None:
    taken_down = promoted.entries[-1].model_digest
    entry = roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="complaints")
    assert (entry.sequence, entry.action, entry.version) == (3, "rollback", "1")
    assert entry.replaces == taken_down
    assert promoted.alias == "1"
    assert barred_digests(promoted.entries) == {taken_down}
    assert is_held(promoted.entries) == "rollback (entry 3) by ann: complaints"
    assert promoted.registry.mirrored_head(NAME) == (3, entry.digest)


def test_a_change_whose_alias_cannot_follow_says_that_it_is_done(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for again it would go back twice."""
    with monkeypatch.context() as patch:
        denied = MlflowException("not allowed", error_code=PERMISSION_DENIED)
        patch.setattr(Registry, "mirror_head", raiser(denied))
        with pytest.raises(
            AliasBehind, match=r"(?s)entry 3, .*not allowed.*Do not ask for it ag"
        ) as caught:
            roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="complaints")
    said, code = explain_exception(caught.value)
    assert code == Exit.FAULT
    assert f"refit reconcile {NAME}" in said
    assert reconcile.fn(promoted.place, NAME) == promoted.alias == "1"
    assert [entry.action for entry in promoted.entries] == ["adopt", "promote", "rollback"]


def raiser(exc: Exception) -> Callable[..., None]:
    def fail(*args: object) -> None:
        raise exc

    return fail


def test_an_override_keeps_its_model_from_gc_before_it_looks_for_it(promoted: World) -> None:
    decision = promoted.entries[-1].decision_digest
    roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="complaints")
    for key in list(promoted.store.list("pins")):
        promoted.store.delete(key)
    entry = override(promoted.place, NAME, decision, actor="ann", reason="it was fine")
    assert is_pinned(promoted.store, entry.model_uri, datetime.now(UTC))


def test_roll_back_goes_to_the_model_and_not_to_its_number(promoted: World) -> None:
    """The registry is lost; the champion is registered again as 1, and the rival becomes 2."""
    promoted.registry.client.delete_registered_model(NAME)
    assert reconcile.fn(promoted.place, NAME) == "1"
    adopted, champion_then = promoted.entries
    rival = promoted.train(promoted.recipe(RIVAL))
    version = promoted.registry.register(
        name=NAME, model_path=promoted.path(rival.model_key), model_digest=rival.model_digest,
        run_id="", description="", tags={},
    )  # fmt: skip
    crowned = draft_entry(
        action="override", version=version, model_digest=rival.model_digest,
        model_uri=rival.model_key, actor="ann", reason="",
    )  # fmt: skip
    append(promoted.store, NAME, crowned, decided_against=champion_then)
    reconcile.fn(promoted.place, NAME)
    assert (version, promoted.alias) == ("2", "2")

    def back(to: str | None) -> LedgerEntry:
        return roll_back(promoted.place, NAME, to_version=to, actor="ann", reason="")

    for number in ("1", "2"):
        with pytest.raises(NoRollback, match=f"'{number}' means two models.*by its digest"):
            back(number)
    assert back(None).model_digest == champion_then.model_digest
    assert promoted.alias == "1"
    assert champion(promoted.entries) == champion_then
    assert back(adopted.model_digest[:12]).model_digest == adopted.model_digest


def test_roll_back_refuses_where_there_is_nothing_before(adopted: World) -> None:
    before = adopted.throne()
    with pytest.raises(NoRollback, match="no earlier champion"):
        roll_back(adopted.place, NAME, to_version=None, actor="ann", reason="")
    assert adopted.throne() == before


def test_release_lifts_the_hold_and_not_the_bar(promoted: World) -> None:
    roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="")
    release(promoted.place, NAME, actor="ann", reason="mended")
    assert is_held(promoted.entries) == ""
    assert len(barred_digests(promoted.entries)) == 1
    assert promoted.alias == "1"
    with pytest.raises(LedgerError, match="is not held"):
        release(promoted.place, NAME, actor="ann", reason="")


def test_rebase_makes_the_champion_the_anchor(promoted: World) -> None:
    assert anchor(promoted.entries) == promoted.entries[0]
    entry = rebase(promoted.place, NAME, actor="ann", reason="new labels")
    assert anchor(promoted.entries) == entry
    assert entry.model_digest == promoted.entries[1].model_digest
    assert promoted.alias == "2"


def test_retire_removes_the_alias_and_keeps_the_history(promoted: World) -> None:
    retire(promoted.place, NAME, actor="ann", reason="discontinued")
    assert promoted.alias == ""
    assert champion(promoted.entries) is None
    assert len(promoted.entries) == 3
    with pytest.raises(LedgerError, match="nothing to retire"):
        retire(promoted.place, NAME, actor="ann", reason="")


@pytest.mark.parametrize("change", [release, rebase, retire])
def test_changes_refuse_a_name_without_a_ledger(adopted: World, change: object) -> None:
    with pytest.raises(LedgerError, match="'other' has no ledger"):
        change(adopted.place, "other", actor="ann", reason="")  # type: ignore[operator]


def test_changes_refuse_a_ledger_behind_its_mirror(promoted: World) -> None:
    promoted.store.delete(f"ledger/{NAME}/000000000002.json")
    with pytest.raises(LedgerBehindMirror, match="has seen entry 2"):
        retire(promoted.place, NAME, actor="ann", reason="")
    assert promoted.alias == "2"
    assert len(promoted.entries) == 1


def test_an_override_s_card_shows_name_and_reason_as_text() -> None:
    """MLflow renders it as Markdown, and would fetch the image."""
    card = override_card("![a](https://evil.example/a.png)", "<img src=x>")
    assert "![" not in card
    assert "<" not in card
