"""What each task is, without any of its code: the names that recipes, records and rooms share."""

from typing import Literal, NamedTuple

from records.policy import Metric

Task = Literal["classification", "translation", "language_modeling", "chat"]


class TaskFacts(NamedTuple):
    """What a recipe may say of a task, and what it means where it says nothing."""

    metrics: tuple[Metric, ...]
    """Metrics that may decide; the first is the default."""
    validation_metrics: tuple[Metric, ...]
    """Metrics that may choose the weights that are kept; the first is the default."""
    columns: dict[str, str]
    """Default columns of the data: field of `data` -> column."""
    shown: tuple[str, ...]
    """Figures of a scorecard that reports list, the most telling first."""
    example: str
    """An input, for whoever looks at a registered model."""
    architectures: tuple[str, ...]
    """What base.scratch may build for it."""
    stacks: Literal["any", "one", "two"]
    """Two: only an encoder-decoder can do it; one: only an encoder or a decoder."""
    has_labels: bool
    """Whether a row's answer is one of a few names."""
    slices: tuple[str, ...]
    """Slice columns that are derived from the rows, beside the attributes."""


TASKS: dict[Task, TaskFacts] = {
    "classification": TaskFacts(
        metrics=("accuracy", "macro_f1", "log_loss"),
        validation_metrics=("accuracy", "macro_f1", "log_loss"),
        columns={"text": "text", "label": "label"},
        shown=("accuracy", "macro_f1", "log_loss", "ece"),
        example="The battery lasts all week.",
        architectures=("bert", "xlnet", "gpt2", "llama", "t5"),
        stacks="any",
        has_labels=True,
        slices=("label", "length"),
    ),
    "chat": TaskFacts(
        metrics=("loss_per_token", "loss_per_byte", "exact_match", "chrf", "rouge_l"),
        validation_metrics=("loss_per_token", "loss_per_byte"),
        columns={"text": "prompt", "label": "answer"},
        shown=("loss_per_token", "exact_match", "chrf", "rouge_l", "stopped", "answer_chars"),
        example="How much is the lamp?",
        architectures=("gpt2", "llama"),
        stacks="one",
        has_labels=False,
        slices=("length", "turns"),
    ),
    "language_modeling": TaskFacts(
        metrics=("loss_per_token", "loss_per_byte"),
        validation_metrics=("loss_per_token", "loss_per_byte"),
        columns={"text": "text", "label": ""},
        shown=("loss_per_token", "loss_per_byte"),
        example="It was a bright cold day.",
        architectures=("bert", "gpt2", "llama"),
        stacks="one",
        has_labels=False,
        slices=("length",),
    ),
    "translation": TaskFacts(
        metrics=("chrf", "bleu"),
        validation_metrics=("loss_per_token", "loss_per_byte", "chrf", "bleu"),
        columns={"text": "source", "label": "target"},
        shown=("chrf", "bleu", "length_ratio", "copy_rate"),
        example="The young woman buys a red hat at the market.",
        architectures=("t5", "marian"),
        stacks="two",
        has_labels=False,
        slices=("length", "length_ratio", "copied"),
    ),
}
