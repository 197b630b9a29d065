"""What each task is, without any of its code: the names that recipes, records and rooms share."""

from typing import Literal, NamedTuple

from records.policy import Metric

Task = Literal["classification", "translation"]


class TaskFacts(NamedTuple):
    """What a recipe may say of a task, and what it means where it says nothing."""

    metrics: tuple[Metric, ...]
    """Metrics that may decide; the first is the default."""
    validation_metrics: tuple[Metric, ...]
    """Metrics that may choose the weights that are kept; the first is the default."""
    columns: dict[str, str]
    """Default columns of the data: field of `data` -> column."""
    architectures: tuple[str, ...]
    """What base.scratch may build for it."""
    has_labels: bool
    """Whether a row's answer is one of a few names."""
    slices: tuple[str, ...]
    """Slice columns that are derived from the rows, beside the attributes."""


TASKS: dict[Task, TaskFacts] = {
    "classification": TaskFacts(
        metrics=("accuracy", "macro_f1", "log_loss"),
        validation_metrics=("accuracy", "macro_f1", "log_loss"),
        columns={"text": "text", "label": "label"},
        architectures=("bert", "xlnet", "gpt2", "llama", "t5"),
        has_labels=True,
        slices=("label", "length"),
    ),
    "translation": TaskFacts(
        metrics=("chrf", "bleu"),
        validation_metrics=("loss_per_token", "chrf", "bleu"),
        columns={"text": "source", "label": "target"},
        architectures=("t5", "marian"),
        has_labels=False,
        slices=("length", "length_ratio", "copied"),
    ),
}
