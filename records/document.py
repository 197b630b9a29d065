"""Everything that one run of the flow leaves behind for people: the report is made from it."""

from typing import Any, Literal

from pydantic import Field

from records.base import Record, is_empty
from records.cost import Spent, StepCost
from records.data import DataRef
from records.decision import Decision, GateRecord
from records.search import SearchResult

Outcome = Literal[
    "promoted", "unchanged", "refused", "data_refused", "held", "already_running",
    "would_promote", "evaluated", "waiting", "declined",
]  # fmt: skip


class CurvePoint(Record):
    """One point of a training curve."""

    step: int
    epoch: float
    name: str
    """loss, learning_rate, grad_norm, validation_loss, validation_<metric>."""
    value: float


class TrainResult(Record):
    """A challenger and how it came to be."""

    train_key: str
    model_digest: str
    """sha256 over the names and digests of the model's files."""
    model_key: str
    """Folder of the model in the store."""
    base: str
    base_digest: str
    base_lineage_known: bool
    num_steps: int
    best_step: int
    metric: str
    best_value: float
    curve: tuple[CurvePoint, ...]
    seed: int
    dtype: str
    device: str
    wall_s: float
    samples_per_s: float
    tokens_per_s: float
    peak_memory_bytes: int
    num_truncated: dict[str, int]
    """Texts cut at max_length, by split."""
    mlflow_run_id: str = ""
    is_cut: bool = Field(False, exclude_if=is_empty)
    """Whether `train.budget_s` ended it; its train key is then that of the budget, too."""
    strategy: str = Field("", exclude_if=is_empty)
    num_tokens: int = Field(0, exclude_if=is_empty)
    """Trained on, in all its steps."""
    spent: Spent | None = Field(None, exclude_if=is_empty)
    """All that it took, in every run that it took, as far as its checkpoints know."""
    spent_before: Spent | None = Field(None, exclude_if=is_empty)
    """What of it earlier runs took than the one that finished it."""


class PowerRow(Record):
    """Chance that a model exactly as good as the champion passes, at one discordance."""

    discordance: float
    """Share of items on which the two models differ in correctness."""
    num_items: int
    chance: float
    items_for_80: int
    """Items needed for an 80 % chance at the same margin; 0: no number of items, or past ten million."""
    margin_for_80: float
    """Margin needed for an 80 % chance at the same number of items."""

    def say_items(self, rule: str) -> str:
        """`items_for_80` in words: under `superior` an equal model passes by luck only."""
        if self.items_for_80:
            return f"{self.items_for_80:,}"
        return "never" if rule == "superior" else "over 10 million"


class DecisionFile(Record):
    """What `explain` replays: the whole record and its decision. Its digest names the decision."""

    record: GateRecord
    decision: Decision


class DecisionDocument(Record):
    """A decision with its circumstances; texts are not in it."""

    decision_digest: str
    outcome: Outcome
    file: DecisionFile
    data: DataRef
    train: TrainResult
    costs: tuple[StepCost, ...]
    recipe: dict[str, Any]
    """Every default resolved; empty where the run was killed that knew it."""
    power: tuple[PowerRow, ...]
    search: SearchResult | None = None
    choice: SearchResult | None = Field(None, exclude_if=is_empty)
    """How the base was chosen among `base.candidates`."""
    model_version: str = ""
    mlflow_url: str = ""
    report_uri: str = Field("", exclude_if=is_empty)
    """Where the whole report is, or will be, in MLflow: a page, or what its client loads it by."""
    actor: str = ""
    reason: str = ""
    time: str

    @property
    def earlier(self) -> Spent:
        """What earlier runs took of the training that this decision is about."""
        is_made_here = any(cost.step == "train" and cost.num_tokens for cost in self.costs)
        return (self.train.spent_before if is_made_here else self.train.spent) or Spent()

    @property
    def total(self) -> Spent:
        """What the decision took: this run's steps, and the training's share of earlier runs."""
        return sum(self.costs, self.earlier)


def report_path(decision_digest: str) -> str:
    """Of a decision's page among the artifacts of its training run."""
    return f"decisions/{decision_digest[:12]}/report.html"
