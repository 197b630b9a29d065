"""The gate's policy: part of the recipe, and part of every decision record."""

from typing import Literal, Self

from pydantic import Field, model_validator

from records.base import Record, is_empty
from records.judge import JudgePolicy

Metric = Literal[
    "accuracy",
    "macro_f1",
    "micro_f1",
    "log_loss",
    "bleu",
    "chrf",
    "loss_per_token",
    "loss_per_byte",
    "exact_match",
    "rouge_l",
]
HIGHER_IS_BETTER: dict[str, bool] = {
    "accuracy": True, "macro_f1": True, "micro_f1": True, "log_loss": False,
    "bleu": True, "chrf": True, "loss_per_token": False, "loss_per_byte": False,
    "exact_match": True, "rouge_l": True,
}  # fmt: skip
"""A metric's direction is its own, never the recipe's."""
LOSSES: tuple[Metric, ...] = ("log_loss", "loss_per_token", "loss_per_byte")
"""Metrics in nats; all others are shares from 0 to 1 (0.41 is 41 BLEU)."""


class SlicePolicy(Record):
    """Parts of the test split on which the challenger must not lose."""

    columns: tuple[str, ...] = Field(
        (),
        description="Columns to slice by: `label` (items that carry it), `length`, or any "
        "data.attributes column.",
    )
    margin: float = Field(0.05, gt=0, le=0.5, description="Largest tolerated loss on a slice.")
    min_n: int = Field(50, ge=10, description="Smaller slices are listed, not judged (items).")
    required: tuple[str, ...] = Field(
        (), description="Slices, as `column=value`, that must be shown to hold, or nothing passes."
    )


class BudgetPolicy(Record):
    """Upper limits of the challenger's running costs; absent: measured and reported only."""

    latency_p95_ms: float | None = Field(None, gt=0, description="p95 latency at batch 1, ms.")
    peak_memory_mb: float | None = Field(None, gt=0, description="Peak resident memory, MB (10^6).")
    artifact_mb: float | None = Field(
        None, gt=0, description="Size of the model's files, MB (10^6)."
    )


class GatePolicy(Record):
    """What a challenger must prove. On by default, closed on doubt."""

    metric: Metric = Field(
        "accuracy",
        description="The metric that decides; translation: chrf unless it says bleu; multilabel: "
        "micro_f1, and accuracy counts a text only where its whole set of labels is right.",
    )
    minimum: float = Field(
        ...,
        description="Floor that the challenger's bound must clear (for a loss: a ceiling, in nats). "
        "Scores are shares: 0.3 is 30 BLEU.",
    )
    rule: Literal["superior", "non_inferior"] = Field(
        "non_inferior", description="Against the champion: better, or not worse than the margin."
    )
    margin: float = Field(0.02, gt=0, le=0.2, description="Tolerated loss against the champion.")
    alpha: float = Field(0.05, gt=0, le=0.2, description="One-sided error rate of each bound.")
    min_items: int = Field(
        200, ge=1, description="Fewest test groups on which anything is promoted."
    )
    max_uses: int = Field(
        50, ge=1, description="Decisions per test generation before a new salt is asked."
    )
    max_overlap: float = Field(
        0.01, ge=0, lt=1, description="Largest share of test groups in any lineage."
    )
    slices: SlicePolicy = SlicePolicy()
    budgets: BudgetPolicy = BudgetPolicy()
    judge: JudgePolicy | None = Field(
        None,
        exclude_if=is_empty,
        description="Chat: a model that compares the answers, too; what it says must hold as well.",
    )

    @model_validator(mode="after")
    def _is_enough_judged(self) -> Self:
        if self.judge is not None and self.judge.items < self.min_items:
            raise ValueError(
                f"judge.items={self.judge.items} is below min_items={self.min_items}, so that nothing "
                "could pass; raise the one or lower the other"
            )
        return self
