"""Decide: all evidence to one decision, written for refusals too."""

import logging
from datetime import UTC, datetime
from itertools import count

from pydantic import ValidationError

from models.gate import GATE_VERSION, decide
from records.base import canonical_json, digest_of, sha256
from records.data import DataRef
from records.decision import GateRecord
from records.document import DecisionFile
from records.evaluation import Evaluation, IndexEntry
from records.judge import Judgement
from records.policy import GatePolicy
from tasks.kept import kept_task, was_found
from tasks.ledger import (
    ChampionChanged,
    LedgerError,
    anchor,
    barred_digests,
    champion,
    history,
)
from tasks.objects import Store, put_or_read
from tasks.place import Place
from tasks.stamped import put_stamped, read_stamped

log = logging.getLogger("refit")


class DecisionError(LedgerError):
    """A decision that is not there, or whose bytes were changed."""


@kept_task(name="decide", run_name="decide whether to promote or to refuse")
def decide_challenger(
    place: Place,
    name: str,
    data: DataRef,
    evaluation_key: str,
    policy: GatePolicy,
    salt: str,
    train_key: str,
    judgements: tuple[str, ...] = (),
) -> tuple[IndexEntry, bool]:
    """Gather the evidence, ask the gate, store record and verdict; once per decision key.

    Args:
        place, name, data, policy, salt, train_key: what is decided, and by which policy.
        evaluation_key: of the Evaluation in the store.
        judgements: keys of what a judge said, where the policy names one.

    Returns:
        The decision's line in the index, and whether it was already there.
    """
    store = place.open()
    evaluation = read_stamped(store, evaluation_key, Evaluation)
    record = gather(store, name, data, evaluation, policy, salt, judgements)
    index_key = f"decisions/{name}/index/{record.decision_key}.json"
    if store.exists(index_key):
        known = read_stamped(store, index_key, IndexEntry)
        was_found(f"this was decided on {known.time}: {known.verdict}")
        return known, True
    file = DecisionFile(record=record, decision=decide(record))
    store.write(decision_path(name, file.digest), file.to_json())
    entry = IndexEntry(
        decision_key=record.decision_key,
        decision_digest=file.digest,
        verdict=file.decision.verdict,
        summary=file.decision.summary,
        snapshot_digest=record.data_digest,
        champion_digest=record.champion.model_digest if record.champion else "",
        challenger_digest=record.challenger.model_digest,
        train_key=train_key,
        generation=generation(data, salt),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    is_new = put_stamped(store, index_key, entry)
    return read_stamped(store, index_key, IndexEntry), not is_new


def gather(
    store: Store,
    name: str,
    data: DataRef,
    evaluation: Evaluation,
    policy: GatePolicy,
    salt: str,
    judgements: tuple[str, ...] = (),
) -> GateRecord:
    """The one argument of the gate.

    Raises:
        ChampionChanged: the evaluation judged against other models than the ledger now names.
    """
    entries = history(store, name)
    live, held_up_to = champion(entries), anchor(entries)
    for role, entry in (("champion", live), ("anchor", held_up_to if live else None)):
        judged = card.model_digest if (card := evaluation.card(role)) else ""
        if judged != (entry.model_digest if entry else ""):
            message = f"the {role} of {name!r} changed while it was evaluated; evaluate again"
            raise ChampionChanged(message, entries[-1] if entries else None)
    challenger = evaluation.card("challenger")
    if challenger is None:
        raise ValueError("an evaluation without a challenger cannot be decided")
    earlier = read_index(store, name)
    return GateRecord(
        gate_version=GATE_VERSION,
        name=name,
        task=data.task,
        challenger=challenger,
        champion=evaluation.card("champion"),
        anchor=evaluation.card("anchor"),
        baselines=tuple(c for c in evaluation.cards if c.role.startswith("baseline:")),
        expected_baselines=() if live else evaluation.expected_baselines,
        items=evaluation.items,
        data_digest=data.snapshot.snapshot_digest,
        data_key=data.data_key,
        check_report=data.report,
        lineage=evaluation.lineage,
        budgets=evaluation.budgets,
        parity=evaluation.parity,
        policy=policy,
        attempt=claim_attempt(
            store,
            name,
            rows_and_champion=[data.snapshot.snapshot_digest, live.model_digest if live else ""],
            challenger_and_policy=[challenger.model_digest, policy.digest],
        ),
        num_test_uses=sum(e.generation == generation(data, salt) for e in earlier),
        ledger_sequence=entries[-1].sequence if entries else 0,
        ledger_hash=entries[-1].digest if entries else "",
        anchor_digest=held_up_to.model_digest if held_up_to else "",
        barred_digests=tuple(sorted(barred_digests(entries))),
        judgements=tuple(read_stamped(store, key, Judgement) for key in judgements),
    )


def claim_attempt(
    store: Store, name: str, *, rows_and_champion: list[str], challenger_and_policy: list[str]
) -> int:
    """Which attempt this is on these rows against this champion: 1, 2, 3, ...

    Each number is claimed once, by put-if-absent: of several decided at once none is the first
    again, and whoever comes back with the same challenger (after a hold, a crash, another
    champion's rollback) keeps its number.
    """
    claim = canonical_json(challenger_and_policy)
    for number in count(1):
        key = f"attempts/{name}/{digest_of(rows_and_champion)[:32]}/{number:06d}.json"
        if put_or_read(store, key, claim) == claim:
            return number
    raise AssertionError("there is always a next number")


def generation(data: DataRef, salt: str) -> str:
    """Which rows judge: the given test file, or the salt of the hash split."""
    given = sorted(file.sha256 for file in data.snapshot.files if file.split == "test")
    return digest_of(given or salt)[:16]


def decision_path(name: str, decision_digest: str) -> str:
    """Key of a decision in the store."""
    return f"decisions/{name}/{decision_digest}/decision.json"


def read_index(store: Store, name: str) -> tuple[IndexEntry, ...]:
    """Every decision about a model, oldest first."""
    keys = store.list(f"decisions/{name}/index")
    found = [read_stamped(store, key, IndexEntry) for key in keys]
    return tuple(sorted(found, key=lambda entry: entry.time))


def read_decision(store: Store, name: str, decision_digest: str) -> DecisionFile:
    """A stored decision, its bytes checked against its name.

    Raises:
        DecisionError: they do not match.
    """
    key = decision_path(name, decision_digest)
    try:
        file = DecisionFile.from_json(content := store.read(key))
    except ValidationError:
        found = "are no decision"
    else:
        if content == file.to_json() and file.digest == decision_digest:
            return file
        found = f"have digest {sha256(content)[:12]}"
    raise DecisionError(
        f"decision {decision_digest[:12]} of {name!r} was changed: its bytes {found}; "
        f"`refit verify --set-aside` restores {store.uri}/{key} from its report"
    )


def find_decision(store: Store, digest_prefix: str) -> tuple[str, str]:
    """(model name, digest) of the one decision whose digest begins so; DecisionError otherwise."""
    found = {
        (name, digest)
        for name, digest in (
            (key.split("/")[1], key.split("/")[2]) for key in store.list("decisions")
        )
        if digest.startswith(digest_prefix) and digest != "index"
    }
    if len(found) != 1:
        problem = "no decision begins" if not found else f"{len(found)} decisions begin"
        raise DecisionError(f"{problem} with {digest_prefix!r}; see `refit decisions NAME`")
    return found.pop()
