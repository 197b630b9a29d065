"""Which models meet in an evaluation."""

from records.document import TrainResult
from records.evaluation import Candidate
from records.ledger import LedgerEntry
from tasks.ledger import anchor, champion


def candidates(challenger: TrainResult, entries: tuple[LedgerEntry, ...]) -> tuple[Candidate, ...]:
    """The challenger first, then the champion and the anchor, where there are any."""
    own = Candidate(
        role="challenger",
        model_digest=challenger.model_digest,
        model_key=challenger.model_key,
    )
    return own, *incumbents(entries)


def incumbents(entries: tuple[LedgerEntry, ...]) -> tuple[Candidate, ...]:
    """The champion and the anchor, where there are any."""
    others = {
        "champion": champion(entries),
        "anchor": anchor(entries) if champion(entries) else None,
    }
    return tuple(
        Candidate(role=role, model_digest=entry.model_digest, model_key=entry.model_uri)
        for role, entry in others.items()
        if entry is not None
    )
