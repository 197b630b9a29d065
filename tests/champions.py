"""A store with a champion in it that nobody trained: its decision is real, its files are not there."""

from pathlib import Path

from models.gate import decide
from records.document import DecisionFile
from records.ledger import LedgerEntry
from tasks.decide import decision_path
from tasks.ledger import append, head
from tasks.store import LocalStore
from tests.models.gate_records import card_of, items_of, record_of

NAME = "reviews"


def promote_one(store: LocalStore, num_wrong: int = 18) -> float:
    """Write a decision and a promotion into the store; returns the accuracy that it rests on."""
    items = items_of()
    card = card_of(items, range(num_wrong))
    digest = f"{num_wrong:064x}"
    card = card.model_copy(update={"model_digest": digest})
    record = record_of(items, challenger=card, champion=None)
    file = DecisionFile(record=record, decision=decide(record))
    store.write(decision_path(NAME, file.digest), file.to_json())
    latest = head(store, NAME)
    draft = LedgerEntry(
        sequence=0, previous_hash="", action="promote", version=str(num_wrong),
        model_digest=digest, model_uri=f"models/{digest}", decision_digest=file.digest,
        actor="ann", time="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    append(store, NAME, draft, decided_against=latest)
    return card.metrics["accuracy"]


def champion_store(folder: Path) -> LocalStore:
    """With one champion."""
    store = LocalStore(folder)
    promote_one(store)
    return store
