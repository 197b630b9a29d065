"""What an evaluation leaves in the store: all the scores that one decision rests on."""

from pydantic import Field

from records.base import Record, is_empty
from records.decision import LineageOverlap
from records.scores import Budgets, Parity, Scorecard, TestItems


class Candidate(Record):
    """A model to score, and the part that it plays."""

    role: str
    """challenger, champion or anchor"""
    model_digest: str
    model_key: str
    """Folder of the model in the store."""


class Evaluation(Record):
    """Scorecards of every judged model on the same items, taken in one run."""

    items: TestItems
    cards: tuple[Scorecard, ...]
    lineage: LineageOverlap
    budgets: Budgets | None
    parity: Parity | None
    expected_baselines: tuple[str, ...] = Field((), exclude_if=is_empty)
    """Roles that a first champion must beat; empty where there is a champion."""

    def card(self, role: str) -> Scorecard | None:
        """The scorecard of that role; None where nobody played it."""
        return next((card for card in self.cards if card.role == role), None)


class IndexEntry(Record):
    """One line of a model's decisions, small enough to read them all."""

    decision_key: str
    decision_digest: str
    verdict: str
    summary: str
    snapshot_digest: str
    champion_digest: str
    """Empty where there was none."""
    challenger_digest: str
    train_key: str
    generation: str
    """Test generation: which rows judge. Every decision wears it a little."""
    time: str


class RunResult(Record):
    """How a run of the flow ended."""

    name: str
    outcome: str
    """An Outcome of records/document.py, or `rolled_back`."""
    summary: str
    version: str = ""
    decision_digest: str = ""
    report_path: str = ""
    data_key: str = ""
