"""The ledger's promises: one chain, one winner, and what the history says about the champion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.ledger import Action, LedgerEntry
from tasks import ledger
from tasks.ledger import (
    ChampionChanged,
    EntryRefused,
    LedgerCorrupt,
    LedgerError,
    NameClaimed,
    NoRollback,
    append,
    champion,
    history,
)
from tasks.retries import patience, patient
from tasks.store import AccessDenied, LocalStore, S3Store, Store, StoreUnreachable

NAME = "reviews"


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def draft(action: Action, version: str = "", **fields: Any) -> LedgerEntry:
    """An entry of model version `version`, whose digest is `m<version>`."""
    values: dict[str, Any] = {
        "model_digest": f"m{version}" if version else "",
        "model_uri": f"models/m{version}" if version else "",
        "decision_digest": f"d{version}" if action == "promote" else "",
        "actor": "ann",
        "reason": "because",
        "time": "2026-01-01T00:00:00Z",
    }
    values |= fields
    return LedgerEntry(sequence=0, previous_hash="", action=action, version=version, **values)


def write(store: Store, *drafts: LedgerEntry) -> tuple[LedgerEntry, ...]:
    for each in drafts:
        append(store, NAME, each, decided_against=ledger.head(store, NAME))
    return history(store, NAME)


# -- the chain -------------------------------------------------------------------------------------


def test_history_is_one_chain_and_head_its_end(store: Store) -> None:
    assert ledger.head(store, NAME) is None
    assert history(store, NAME) == ()
    entries = write(store, draft("promote", "1"), draft("hold", "1"), draft("release", "1"))
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert [entry.previous_hash for entry in entries] == ["", *(e.digest for e in entries[:2])]
    assert ledger.head(store, NAME) == entries[-1]
    assert ledger.verify(store, NAME) == []
    assert list(store.list("ledger")) == [f"ledger/{NAME}/{n:012d}.json" for n in (1, 2, 3)]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_verify_detects_any_changed_byte(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("ledger"))
    write(store, draft("promote", "1"), draft("promote", "2"))
    key = ledger._key(NAME, data.draw(st.sampled_from([1, 2]), "entry"))
    changed = bytearray(store.read(key))
    position = data.draw(st.integers(0, len(changed) - 1), "position")
    changed[position] ^= data.draw(st.integers(1, 255), "flip")
    store.write(key, bytes(changed))
    assert key in " ".join(ledger.verify(store, NAME))
    with pytest.raises(LedgerCorrupt, match=key):
        history(store, NAME)


def test_verify_names_an_entry_that_was_rewritten_with_a_new_hash(local: LocalStore) -> None:
    first, _ = write(local, draft("promote", "1"), draft("promote", "2"))
    forged = first.model_copy(update={"reason": "better"})
    local.write(ledger._key(NAME, 1), ledger._encode(forged))
    assert ledger.verify(local, NAME) == [
        "ledger/reviews/000000000002.json does not continue the chain: it names another entry 1"
    ]


def test_history_names_a_gap_and_nothing_is_appended_to_it(local: LocalStore) -> None:
    entries = write(local, *(draft("promote", str(n)) for n in range(1, 5)))
    local.delete(ledger._key(NAME, 2))
    calls: list[Callable[[], object]] = [
        lambda: history(local, NAME),
        lambda: ledger.head(local, NAME),
        lambda: append(local, NAME, draft("hold", "4"), decided_against=entries[-1]),
    ]
    for call in calls:
        with pytest.raises(LedgerCorrupt, match="entry 2 is missing"):
            call()
    assert not local.exists(ledger._key(NAME, 5))


def test_verify_names_strangers_and_entries_in_the_wrong_place(local: LocalStore) -> None:
    write(local, draft("promote", "1"))
    local.write(f"ledger/{NAME}/latest.json", b"{}")
    local.write(ledger._key(NAME, 2), local.read(ledger._key(NAME, 1)))
    problems = ledger.verify(local, NAME)
    assert any("latest.json is not an entry's key" in problem for problem in problems)
    assert any("000000000002.json holds entry 1" in problem for problem in problems)


def test_history_passes_a_denied_read_on_and_does_not_call_it_corrupt(local: LocalStore) -> None:
    class Denied(LocalStore):
        def read(self, key: str) -> bytes:
            raise AccessDenied("denied")

    write(local, draft("promote", "1"))
    with pytest.raises(AccessDenied, match="denied"):
        history(Denied(local.folder), NAME)


def test_entry_hash_stays_when_a_field_with_a_default_is_added() -> None:
    class Later(LedgerEntry):
        added: str = ""

    entry = draft("promote", "1")
    assert Later.model_validate(entry.model_dump()).digest == entry.digest


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a b", "ä", "x" * 129, "a\n"])
def test_names_that_cannot_be_keys_are_refused(local: LocalStore, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ledger.head(local, name),
        lambda: append(local, name, draft("promote", "1"), decided_against=None),
        lambda: ledger.claim_name(local, name, "recipe", "classification"),
    ]
    for call in calls:
        with pytest.raises(LedgerError, match="1 to 128 letters"):
            call()


# -- appending -------------------------------------------------------------------------------------


def test_append_says_which_champion_came_first(store: Store) -> None:
    entries = write(store, draft("promote", "1"), draft("promote", "2"))
    late = draft("promote", "3")
    with pytest.raises(
        ChampionChanged, match=r"against entry 1 .*now there is entry 2 \(promote, version 2\)"
    ) as caught:
        append(store, NAME, late, decided_against=entries[0])
    assert caught.value.now == entries[1]
    with pytest.raises(ChampionChanged, match="against an empty ledger"):
        append(store, NAME, late, decided_against=None)
    assert history(store, NAME) == entries


class LostAnswer(LocalStore):
    """The write happens, the answer never arrives; the next attempt is told 412."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if super().put_if_absent(key, data):
            raise StoreUnreachable("timed out")
        return False


def test_append_knows_that_it_won_when_the_answer_was_lost(local: LocalStore) -> None:
    won = append(LostAnswer(local.folder), NAME, draft("promote", "1"), decided_against=None)
    assert history(local, NAME) == (won,)


def test_append_knows_that_it_lost_when_the_answer_was_lost(local: LocalStore) -> None:
    class Overtaken(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            rival = ledger._complete((), draft("promote", "9"))
            LocalStore(self.folder).put_if_absent(key, ledger._encode(rival))
            raise StoreUnreachable("timed out")

    with pytest.raises(ChampionChanged, match="version 9"):
        append(Overtaken(local.folder), NAME, draft("promote", "1"), decided_against=None)


@pytest.mark.service
def test_append_knows_that_it_won_when_the_client_retries_and_is_told_412(
    s3_store: S3Store,
) -> None:
    from botocore.exceptions import ReadTimeoutError
    from botocore.httpsession import URLLib3Session

    answers: list[int] = []
    session: Any = URLLib3Session()

    def drop_first_answer(request: Any, **_: Any) -> None:
        if not answers:
            answers.append(session.send(request).status_code)
            raise ReadTimeoutError(endpoint_url=request.url)

    def note_answer(response_dict: dict[str, Any] | None, **_: Any) -> None:
        if response_dict is not None:
            answers.append(response_dict["status_code"])

    events = s3_store._client.meta.events
    events.register("before-send.s3.PutObject", drop_first_answer)
    events.register("response-received.s3.PutObject", note_answer)
    won = append(s3_store, NAME, draft("promote", "1"), decided_against=None)
    assert answers == [200, 412]
    assert history(s3_store, NAME) == (won,)


def test_append_tries_again_when_s3_reports_a_conflict_and_nothing_is_there(
    local: LocalStore,
) -> None:
    answers = [False, True]

    class Conflict(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            return answers.pop(0) and super().put_if_absent(key, data)

    won = append(Conflict(local.folder), NAME, draft("promote", "1"), decided_against=None)
    assert history(local, NAME) == (won,)
    assert answers == []


def test_history_waits_for_a_store_that_is_away_as_long_as_its_run_does(local: LocalStore) -> None:
    entries, failed = write(local, draft("promote", "1"), draft("promote", "2")), set()

    class Away(LocalStore):
        @patient
        def read(self, key: str) -> bytes:
            if key not in failed:
                failed.add(key)
                raise StoreUnreachable("503")
            return super().read(key)

    with patience(20):
        assert history(Away(local.folder), NAME) == entries
    assert len(failed) == 2


def test_append_says_that_it_does_not_know_when_the_store_is_gone(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            raise StoreUnreachable("refused")

    monkeypatch.setattr(ledger, "APPEND_DELAYS_S", (0.0, 0.0))
    with pytest.raises(StoreUnreachable, match=r"not known whether .* was written; run again"):
        append(Gone(local.folder), NAME, draft("promote", "1"), decided_against=None)
    with pytest.raises(StoreUnreachable, match=f"see `refit history {NAME}` before you ask for"):
        append(Gone(local.folder), NAME, draft("hold", "1"), decided_against=None)
    assert history(local, NAME) == ()


def test_append_after_a_crash_finds_its_promotion_below_later_entries(store: Store) -> None:
    entries = write(store, draft("promote", "1"), draft("promote", "2"), draft("hold", "2"))
    again = draft("promote", "1", time="2026-01-02T00:00:00Z")
    assert append(store, NAME, again, decided_against=None) == entries[0]
    assert history(store, NAME) == entries


def test_append_does_not_take_anothers_hold_for_its_own(local: LocalStore) -> None:
    """Without a decision only the whole entry tells ours from another's."""
    entries = write(local, draft("promote", "1"))

    class Overtaken(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            rival = ledger._complete(entries, draft("hold", "1", actor="bob"))
            super().put_if_absent(key, ledger._encode(rival))
            return super().put_if_absent(key, data)

    with pytest.raises(ChampionChanged, match=r"now there is entry 2 \(hold"):
        append(Overtaken(local.folder), NAME, draft("hold", "1"), decided_against=entries[0])


@pytest.mark.parametrize(
    ("before", "entry", "match"),
    [
        ([], draft("promote", "1", decision_digest=""), "needs its decision"),
        ([], draft("promote", "", decision_digest="d"), "needs a version and a model digest"),
        (["promote 1"], draft("promote", "2", replaces="m9"), "not the champion's digest"),
        (["promote 1"], draft("adopt", "2"), "version '1' is champion already"),
        (["promote 1", "hold 1"], draft("promote", "2"), "held by hold .* by ann: because"),
        (["promote 1", "promote 2", "rollback 1"], draft("promote", "3"), "held by rollback"),
        (
            ["promote 1", "promote 2", "rollback 1", "release 1"],
            draft("promote", "5", model_digest="m2"),
            "was rolled back",
        ),
        (["promote 1", "promote 2"], draft("rollback", "1", model_digest="m7"), "another model"),
        ([], draft("retire"), "retire needs a champion"),
    ],
)
def test_append_refuses_a_draft_that_contradicts_the_history(
    local: LocalStore, before: list[str], entry: LedgerEntry, match: str
) -> None:
    entries = write(local, *told(before))
    with pytest.raises(EntryRefused, match=match):
        append(local, NAME, entry, decided_against=ledger.head(local, NAME))
    assert history(local, NAME) == entries


def test_claim_name_is_kept_by_the_first_recipe(store: Store) -> None:
    ledger.claim_name(store, NAME, "a", "classification")
    ledger.claim_name(store, NAME, "a", "classification")
    with pytest.raises(NameClaimed, match="belongs to recipe 'a' with task 'classification'"):
        ledger.claim_name(store, NAME, "b", "classification")
    with pytest.raises(NameClaimed, match="with 'translation'"):
        ledger.claim_name(store, NAME, "a", "translation")


def test_claim_name_is_written_although_what_refused_it_is_gone(local: LocalStore) -> None:
    answers = [False, True]

    class Conflict(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            return answers.pop(0) and super().put_if_absent(key, data)

    ledger.claim_name(Conflict(local.folder), NAME, "a", "classification")
    with pytest.raises(NameClaimed, match="belongs to recipe 'a'"):
        ledger.claim_name(local, NAME, "b", "classification")


# -- what the history says -------------------------------------------------------------------------


def told(story: list[str]) -> list[LedgerEntry]:
    """Drafts from words: `promote 2`, `promote 2*` where it becomes the anchor, `retire`."""
    drafts = []
    for line in story:
        action, _, version = line.partition(" ")
        fields = {"is_anchor": version.endswith("*")}
        drafts.append(draft(action, version.rstrip("*"), **fields))  # type: ignore[arg-type]
    return drafts


@pytest.fixture
def after(local: LocalStore) -> Callable[[str], tuple[LedgerEntry, ...]]:
    return lambda story: write(local, *told([line.strip() for line in story.split(",")]))


@pytest.mark.parametrize(
    ("story", "champion_sequence", "anchor_sequence"),
    [
        ("promote 1*", 1, 1),
        ("promote 1", 1, 1),
        ("adopt 1", 1, 1),
        ("override 1", 1, None),
        ("override 1, promote 2", 2, 2),
        ("promote 1*, promote 2, promote 3", 3, 1),
        ("promote 1*, promote 2*, promote 3", 3, 2),
        ("promote 1*, hold 1, release 1", 1, 1),
        ("promote 1*, override 2*", 2, 1),
        ("promote 1*, promote 2*, rollback 1", 1, 1),
        ("promote 1*, promote 2, promote 3*, rollback 2, release 2", 2, 1),
        ("promote 1*, promote 2*, promote 3, rollback 1", 1, 2),
        ("promote 1*, promote 2, rebase 2", 2, 3),
        ("promote 1*, promote 2, rebase 2, rollback 1", 1, 1),
        ("promote 1*, promote 2*, retire", None, 1),
        ("promote 1*, retire", None, None),
        ("promote 1*, retire, promote 2", 3, 3),
        ("promote 1*, retire, adopt 1", 3, 3),
    ],
)
def test_champion_and_anchor_after(
    after: Callable[[str], tuple[LedgerEntry, ...]],
    story: str,
    champion_sequence: int | None,
    anchor_sequence: int | None,
) -> None:
    entries = after(story)
    live, proven = champion(entries), ledger.anchor(entries)
    assert (live.sequence if live else None) == champion_sequence
    assert (proven.sequence if proven else None) == anchor_sequence


@pytest.mark.parametrize(
    ("story", "to_version", "sequence"),
    [
        ("promote 1, promote 2, promote 3", None, 2),
        ("promote 1, promote 2, promote 3", "1", 1),
        ("promote 1, promote 2, promote 3, rollback 2", None, 1),
        ("promote 1, promote 2, promote 3, rollback 1", "2", 2),
        ("promote 1, promote 2, rollback 1, release 1, promote 3", None, 1),
        ("promote 1, promote 2, retire", None, 1),
        ("promote 1, promote 2, retire", "2", 2),
        ("promote 1, promote 2, rollback 1, override 2, release 2, promote 3", "2", 4),
    ],
)
def test_rollback_target_after(
    after: Callable[[str], tuple[LedgerEntry, ...]],
    story: str,
    to_version: str | None,
    sequence: int,
) -> None:
    to_digest = f"m{to_version}" if to_version else None
    assert ledger.rollback_target(after(story), to_digest).sequence == sequence


def test_a_number_that_a_lost_registry_gave_again_names_no_other_model(local: LocalStore) -> None:
    """1 and 2 were lost, 2 became 1, and so the next challenger is 2 once more."""
    again = draft("promote", "2", model_digest="mC", decision_digest="dC")
    entries = write(local, draft("promote", "1"), draft("promote", "2"), again)
    target = ledger.rollback_target(entries)
    assert (target.sequence, target.model_digest) == (2, "m2")
    back = draft("rollback", "2", model_digest="m2")
    entries = write(local, back)
    assert champion(entries) == entries[1]
    assert ledger.barred_digests(entries) == {"mC"}
    with pytest.raises(NoRollback, match=r"model mC.*was itself rolled back"):
        ledger.rollback_target(entries, "mC")


@pytest.mark.parametrize(
    ("story", "to_version", "match"),
    [
        ("promote 1", None, "no earlier champion"),
        ("promote 1, promote 2, rollback 1", None, "no earlier champion"),
        ("promote 1, promote 2, promote 3, rollback 1", None, "no earlier champion"),
        ("promote 1, promote 2", "2", "champion now"),
        ("promote 1, promote 2", "7", r"never champion; earlier champions: 1 \(m1\), 2 \(m2\)"),
        ("promote 1, promote 2, rollback 1", "2", "was itself rolled back"),
    ],
)
def test_rollback_target_refuses_after(
    after: Callable[[str], tuple[LedgerEntry, ...]], story: str, to_version: str | None, match: str
) -> None:
    with pytest.raises(NoRollback, match=match):
        ledger.rollback_target(after(story), f"m{to_version}" if to_version else None)


def test_barred_digests_are_those_that_a_rollback_replaced_until_an_override(
    after: Callable[[str], tuple[LedgerEntry, ...]],
) -> None:
    assert ledger.barred_digests(after("promote 1, promote 2")) == frozenset()
    assert ledger.barred_digests(after("rollback 1")) == {"m2"}
    assert ledger.barred_digests(after("override 2")) == frozenset()


def test_is_held_from_a_rollback_or_hold_until_release(
    after: Callable[[str], tuple[LedgerEntry, ...]],
) -> None:
    assert ledger.is_held(after("promote 1, promote 2")) == ""
    assert ledger.is_held(after("rollback 1")) == "rollback (entry 3) by ann: because"
    assert ledger.is_held(after("release 1")) == ""
    assert ledger.is_held(after("hold 1")) == "hold (entry 5) by ann: because"
    assert ledger.is_held(after("override 2")) != ""


def test_stored_entry_is_plain_json_that_names_its_own_hash(local: LocalStore) -> None:
    (entry,) = write(local, draft("promote", "1"))
    stored = json.loads(local.read(ledger._key(NAME, 1)))
    assert stored.pop("hash") == entry.digest
    assert stored["version"] == "1"
    assert LedgerEntry.model_validate(stored) == entry
