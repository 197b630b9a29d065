"""Whatever happens to the registry, the alias ends where the ledger says; or nothing is touched."""

import json
import shutil
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from deployments.cli import app
from deployments.model_commands import lookup
from flows.reconcile import ReconcileFailed, reconcile_all
from records.ledger import LedgerEntry
from tasks.changes import retire
from tasks.ledger import LedgerCorrupt
from tasks.reconcile import MAX_LOOKS, AliasWithoutLedger, LedgerBehindMirror, reconcile
from tasks.registry import TAG_DIGEST, TAG_HEAD, Registry
from tasks.store import LocalStore
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def key(sequence: int) -> str:
    return f"ledger/{NAME}/{sequence:012d}.json"


def test_reconcile_changes_nothing_where_all_agree(promoted: World) -> None:
    before = promoted.throne()
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.throne() == before


def test_reconcile_brings_back_an_alias_that_was_moved_by_hand(promoted: World) -> None:
    before = promoted.throne()
    promoted.registry.set_alias(NAME, "1")
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.throne() == before


def test_reconcile_as_a_command_brings_the_alias_back_and_says_the_version(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFIT_HOME", str(promoted.home))
    for name in ("REFIT_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    before = promoted.throne()
    for arguments, said in (((), "@champion is version 2"), (("--json",), '"version": "2"')):
        promoted.registry.set_alias(NAME, "1")
        done = CliRunner().invoke(app, ["reconcile", NAME, *arguments])
        assert done.exit_code == 0, done.output
        assert said in done.output
        assert promoted.throne() == before


def test_reconcile_brings_back_an_alias_that_was_removed(promoted: World) -> None:
    promoted.registry.set_alias(NAME, "")
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.alias == "2"


def disturb(monkeypatch: pytest.MonkeyPatch, world: World, num_times: int) -> None:
    """Somebody else moves the alias each time that a reconciliation has set it, so many times."""
    mirror, moved = Registry.mirror_head, []

    def mirror_then_move(self: Registry, name: str, entry: LedgerEntry) -> None:
        mirror(self, name, entry)
        if len(moved) < num_times:
            moved.append(entry)
            world.registry.set_alias(name, "1")

    monkeypatch.setattr(Registry, "mirror_head", mirror_then_move)


def test_reconcile_looks_again_until_the_alias_stays(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, promoted, MAX_LOOKS - 1)
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.alias == "2"


def test_reconcile_says_so_where_the_alias_does_not_settle(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, promoted, MAX_LOOKS)
    with pytest.raises(ConnectionError, match="did not settle in 5 looks; run again"):
        reconcile.fn(promoted.place, NAME)


def test_reconcile_takes_a_change_by_another_process_for_no_cut_tail(
    adopted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion is retired, and the registry told, just after the ledger was read."""
    listed, changed = LocalStore.list, []

    def list_then_retire(self: LocalStore, prefix: str) -> Iterator[str]:
        yield from listed(self, prefix)
        if not changed and prefix == f"ledger/{NAME}":
            changed.append(prefix)
            retire(adopted.place, NAME, actor="bob", reason="no longer used")

    monkeypatch.setattr(LocalStore, "list", list_then_retire)
    assert reconcile.fn(adopted.place, NAME) == ""
    assert changed
    assert adopted.alias == ""
    assert adopted.registry.mirrored_head(NAME)[0] == 2


def test_reconcile_does_not_trust_a_version_with_another_digest(promoted: World) -> None:
    """The tag was changed: the champion is registered again from the store, under a new number."""
    live = promoted.entries[-1]
    promoted.registry.tag_version(NAME, "2", TAG_DIGEST, "0" * 64)
    assert reconcile.fn(promoted.place, NAME) == "3"
    assert promoted.alias == "3"
    found = promoted.registry.find_version(NAME, live.model_digest)
    assert found is not None
    assert str(found.version) == "3"
    assert reconcile.fn(promoted.place, NAME) == "3"
    assert len(promoted.registry.versions(NAME)) == 3


def test_reconcile_finds_the_champion_under_another_number(promoted: World) -> None:
    live, registry = promoted.entries[-1], promoted.registry
    source = registry.versions(NAME)[1].source
    registry.client.delete_model_version(NAME, "2")
    registry.client.create_model_version(NAME, source, tags={TAG_DIGEST: live.model_digest})
    assert reconcile.fn(promoted.place, NAME) == "3"
    assert promoted.alias == "3"


def test_reconcile_registers_a_deleted_champion_again_from_the_store(promoted: World) -> None:
    from models.predict import Classifier
    from tasks.changes import assemble

    live = promoted.entries[-1]
    promoted.registry.client.delete_model_version(NAME, "2")
    assert reconcile.fn(promoted.place, NAME) == promoted.alias
    version = promoted.registry.client.get_model_version_by_alias(NAME, "champion")
    assert version.tags[TAG_DIGEST] == live.model_digest
    assert version.tags["refit.decision"] == live.decision_digest
    fetched = promoted.registry.download_version(NAME, str(version.version), promoted.home / "got")
    classifier = Classifier.load(assemble(fetched))
    probabilities, _ = classifier.probabilities(["the thing1 number 1 is good"])
    assert classifier.labels[int(probabilities[0].argmax())] == "positive"


def test_reconcile_writes_no_run_outside_the_models_own_experiment(promoted: World) -> None:
    promoted.registry.client.delete_model_version(NAME, "2")
    reconcile.fn(promoted.place, NAME)
    assert promoted.registry.client.search_runs(["0"]) == []


def test_reconcile_mirrors_the_head_again(promoted: World) -> None:
    promoted.registry.client.delete_registered_model_tag(NAME, TAG_HEAD)
    reconcile.fn(promoted.place, NAME)
    assert promoted.registry.mirrored_head(NAME) == (2, promoted.entries[-1].digest)


def test_reconcile_mirrors_a_retired_model_into_an_emptied_database(adopted: World) -> None:
    """Without a champion no version is registered, and so nothing else creates the model."""
    entry = retire(adopted.place, NAME, actor="ann", reason="no longer used")
    adopted.registry.client.delete_registered_model(NAME)
    for _ in range(2):
        assert reconcile.fn(adopted.place, NAME) == ""
    assert adopted.alias == ""
    assert adopted.registry.mirrored_head(NAME) == (2, entry.digest)


def test_reconcile_refuses_a_ledger_whose_tail_was_cut(promoted: World) -> None:
    promoted.store.delete(key(2))
    with pytest.raises(LedgerBehindMirror, match="has seen entry 2"):
        reconcile.fn(promoted.place, NAME)
    assert promoted.alias == "2"
    assert promoted.registry.mirrored_head(NAME)[0] == 2


def test_reconcile_refuses_a_ledger_that_was_written_anew(promoted: World) -> None:
    """As long as before, an unbroken chain, and yet another history."""
    from tasks.ledger import append
    from tasks.promote import draft_entry

    promoted.store.delete(key(2))
    forged = draft_entry(action="hold", actor="eve", reason="")
    append(promoted.store, NAME, forged, decided_against=promoted.entries[-1])
    with pytest.raises(LedgerBehindMirror, match="restore"):
        reconcile.fn(promoted.place, NAME)
    assert promoted.alias == "2"


def test_reconcile_refuses_a_ledger_with_a_changed_byte(promoted: World) -> None:
    flip_byte(promoted.path(key(1)))
    with pytest.raises(LedgerCorrupt, match="does not hold"):
        reconcile.fn(promoted.place, NAME)
    assert promoted.alias == "2"


def test_reconcile_refuses_an_alias_that_no_ledger_explains(adopted: World) -> None:
    adopted.store.delete(key(1))
    adopted.registry.client.delete_registered_model_tag(NAME, TAG_HEAD)
    with pytest.raises(AliasWithoutLedger, match=f"refit adopt {NAME} 1"):
        reconcile.fn(adopted.place, NAME)
    assert adopted.alias == "1"


def test_reconcile_leaves_a_name_without_ledger_and_alias_alone(adopted: World) -> None:
    assert reconcile.fn(adopted.place, "another") == ""
    assert adopted.registry.versions("another") == []


def looked_up(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    lookup(world.place, NAME, True)
    facts: dict[str, str] = json.loads(capsys.readouterr().out)
    return facts


def test_lookup_names_the_number_under_which_the_champion_is_registered_now(
    promoted: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert looked_up(promoted, capsys)["version"] == "2"
    promoted.registry.tag_version(NAME, "2", TAG_DIGEST, "0" * 64)
    reconcile.fn(promoted.place, NAME)
    facts = looked_up(promoted, capsys)
    assert (facts["version"], facts["uri"]) == ("3", f"models:/{NAME}/3")
    assert facts["version"] == promoted.alias
    assert "promoted as version 2" in facts["registered again"]
    promoted.registry.tag_version(NAME, "2", TAG_DIGEST, promoted.entries[-1].model_digest)
    reconcile.fn(promoted.place, NAME)
    facts = looked_up(promoted, capsys)
    assert (facts["version"], facts["registered again"]) == ("2", "")


def test_reconcile_mends_an_mlflow_that_was_restored_from_before_everything(
    promoted: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs and versions are gone; then the rival, trained in a run that is gone, is promoted."""
    client = promoted.registry.client
    client.delete_registered_model(NAME)
    for run in promoted.runs():
        client.delete_run(run.info.run_id)
    assert reconcile.fn(promoted.place, NAME) == "1"
    assert (promoted.alias, looked_up(promoted, capsys)["version"]) == ("1", "1")
    head = promoted.entries[-1]
    assert promoted.registry.mirrored_head(NAME) == (head.sequence, head.digest)
    result = promoted.run(promoted.recipe(RIVAL))
    assert (result.outcome, promoted.alias) == ("promoted", "2")
    assert looked_up(promoted, capsys)["version"] == "2"


def test_reconcile_mends_an_mlflow_restored_from_before_the_last_promotion(
    promoted: World, adopted_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mirror and alias are those of entry 1, and version 2 is not there yet."""
    live = promoted.entries[-1]
    shutil.copy(adopted_world.home / "mlflow.db", promoted.home / "mlflow.db")
    registry = Registry(promoted.place)
    assert registry.mirrored_head(NAME)[0] == 1
    assert (promoted.alias, len(registry.versions(NAME))) == ("1", 1)
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.alias == "2"
    assert registry.mirrored_head(NAME) == (2, live.digest)
    first, second = registry.versions(NAME)
    assert first.tags[TAG_DIGEST] == promoted.entries[0].model_digest
    assert second.tags[TAG_DIGEST] == live.model_digest
    assert looked_up(promoted, capsys)["version"] == "2"
    after = promoted.throne()
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.throne() == after


def test_reconcile_flow_mends_what_it_can_and_names_all_that_it_cannot(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFIT_HOME", str(promoted.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    promoted.registry.set_alias(NAME, "1")
    for name in ("aaa", "zzz"):
        promoted.store.write(f"ledger/{name}/000000000001.json", b"{}")
    with pytest.raises(ReconcileFailed, match=r"(?s)ledger of 'aaa'.*ledger of 'zzz'"):
        reconcile_all()
    assert promoted.alias == "2"
    assert reconcile_all([NAME]) == {NAME: "2"}
