"""What the gate judges, and its verdict."""

from typing import Literal

from pydantic import Field

from records.base import Record, digest_of, is_empty
from records.data import CheckReport
from records.judge import Judgement
from records.policy import GatePolicy
from records.scores import Budgets, Parity, Scorecard, TestItems
from records.task import Task

Verdict = Literal["promote", "refuse"]


class LineageOverlap(Record):
    """Test groups that some judged model was trained on."""

    num_test_groups: int
    """Groups in the test split before any was dropped."""
    num_dropped: dict[str, int]
    """Overlapping groups by role (challenger, champion, anchor); dropped from `items`."""
    num_dropped_total: int
    unknown: tuple[str, ...] = ()
    """Roles whose base's training data is not known (a hub base): said, not refused."""


class GateRecord(Record):
    """The one argument of `decide`: all that a verdict rests on, replayable offline."""

    gate_version: int
    name: str
    """Registered model."""
    task: Task = "classification"
    challenger: Scorecard
    champion: Scorecard | None
    """None only where the ledger is empty; an unloadable champion is a Scorecard with `error`."""
    anchor: Scorecard | None
    """None where the ledger is empty. May equal the champion's."""
    baselines: tuple[Scorecard, ...] = ()
    """Needed where there is no champion."""
    expected_baselines: tuple[str, ...] = ()
    """Roles that must be in `baselines`."""
    items: TestItems
    data_digest: str
    """Snapshot digest."""
    data_key: str
    check_report: CheckReport | None
    lineage: LineageOverlap | None
    budgets: Budgets | None
    parity: Parity | None
    policy: GatePolicy
    attempt: int
    """1 for the first decision on this snapshot and champion, then 2, 3, ..."""
    num_test_uses: int
    """Earlier decisions on this test generation."""
    ledger_sequence: int
    """Head entry that was decided against; 0 for an empty ledger."""
    ledger_hash: str
    """Hash of the head entry; empty for an empty ledger."""
    anchor_digest: str = ""
    barred_digests: tuple[str, ...] = ()
    """Models that a rollback took down; only an override brings one back."""
    judgements: tuple[Judgement, ...] = Field((), exclude_if=is_empty)
    """What a judge said of the answers, where the policy names one: one per other model."""

    @property
    def decision_key(self) -> str:
        """Same key, same decision: see DESIGN, "Keys"."""
        return digest_of(
            [
                self.challenger.model_digest,
                self.items.test_digest,
                self.policy.digest,
                self.gate_version,
                self.challenger.fingerprint.digest,
                self.ledger_hash,
                self.anchor_digest,
                *(judgement.digest for judgement in self.judgements),
                *([digest_of(self.items.slices)] if self.items.slices else []),
                *self.failures,
            ]
        )

    @property
    def failures(self) -> list[str]:
        """Evidence that could not be had; once its cause is mended, the same models are judged anew."""
        cards = (self.challenger, self.champion, self.anchor, *self.baselines)
        found = [f"{card.role}: {card.error}" for card in cards if card is not None and card.error]
        return found + ([] if self.parity is not None else ["the saved model was not measured"])


class Interval(Record):
    """A difference or a score with its one-sided bounds, rounded to 1e-9; None: not computable."""

    estimate: float | None
    lower: float | None
    upper: float | None
    """Bound at the same alpha on the other side; for pictures and `shown worse`."""
    method: str
    """clopper-pearson, tango, bootstrap"""


class Finding(Record):
    """One rule of the gate, applied."""

    rule: str
    """E.g. `complete`, `checks`, `floor`, `baseline:tfidf`, `champion`, `anchor`, `slice:language=zh`."""
    state: Literal["passed", "refused", "noted"]
    """`noted` never refuses: undecidable slices, wear."""
    reason: str
    """One sentence for a person: what, value, limit, and on a refusal the next step."""
    interval: Interval | None = None
    limit: float | None = None
    num_items: int | None = None
    p_value: float | None = None


MOST_FLIPS = 200
"""Items named per comparison and direction where nearly every text scores differently."""


class Comparison(Record):
    """Challenger against one other model on paired items."""

    against: str
    num_items: int
    num_wins: int
    """Items that only the challenger got right; of scored texts, those that it did better."""
    num_losses: int
    mcnemar_p: float
    """Two-sided exact."""
    minimum_detectable_effect: float
    """Smallest true loss that this test would have shown with 80 % power."""
    flips: tuple[str, ...]
    """Item ids whose correctness differs, losses first; of scored texts the largest differences."""


class Decision(Record):
    """The verdict with everything that it rests on; written for refusals too."""

    gate_version: int
    record_digest: str
    verdict: Verdict
    summary: str
    """One sentence that a manager understands."""
    kind: Literal["promote", "shown worse", "not shown", "not comparable", "broken"]
    """Why, in two words: `not shown` = the test set is too small to tell; `broken` = missing or NaN evidence."""
    alpha_used: float
    findings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...] = ()
    is_superior_to_anchor: bool
    """Whether this entry becomes the new anchor on promotion."""

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that refused."""
        return tuple(f for f in self.findings if f.state == "refused")
