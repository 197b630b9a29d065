"""What each task is, without any of its code: the names that recipes, records and rooms share."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from records.labels import read_labels
from records.policy import Metric

Task = Literal["classification", "multilabel", "translation", "language_modeling", "chat"]
DEFAULT_TASK: Task = "classification"
"""Of a recipe that says nothing, and of a model that was there before any recipe."""


class TaskFacts(NamedTuple):
    """What a recipe may say of a task, and what it means where it says nothing."""

    metrics: tuple[Metric, ...]
    """Metrics that may decide; the first is the default."""
    validation_metrics: tuple[Metric, ...]
    """Metrics that may choose the weights that are kept; the first is the default."""
    columns: dict[str, str]
    """Defaults of `data`: field -> mostly a column."""
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
    has_label_sets: bool = False
    """Whether a row's answer is a set of these names, which may be empty."""
    has_shared_length: bool = False
    """Whether a text and what is written for it stand in the same positions."""
    has_turns: bool = False
    """Whether what is asked may be several turns of a dialogue."""
    has_two_languages: bool = False
    """Whether a row says one thing in two languages."""

    @property
    def has_answers(self) -> bool:
        """Whether a row has a label or a text that the model should answer."""
        return bool(self.columns["label"])

    @property
    def has_written_answers(self) -> bool:
        """Whether the model writes texts, so that it needs generation settings."""
        return self.has_answers and not self.has_labels


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
    "multilabel": TaskFacts(
        metrics=("micro_f1", "macro_f1", "accuracy", "log_loss"),
        validation_metrics=("micro_f1", "macro_f1", "accuracy", "log_loss"),
        columns={"text": "text", "label": "labels", "label_separator": "|"},
        shown=("micro_f1", "macro_f1", "accuracy", "hamming_loss", "log_loss", "ece"),
        example="The battery lasts all week, but the lid is loose.",
        architectures=("bert", "xlnet", "gpt2", "llama", "t5"),
        stacks="any",
        has_labels=True,
        slices=("label", "length"),
        has_label_sets=True,
    ),
    "chat": TaskFacts(
        metrics=("loss_per_token", "loss_per_byte", "exact_match", "chrf", "rouge_l"),
        validation_metrics=("loss_per_token", "loss_per_byte"),
        columns={"text": "prompt", "label": "answer"},
        shown=(
            "loss_per_token",
            "exact_match",
            "verbatim_match",
            "chrf",
            "rouge_l",
            "stopped",
            "answer_chars",
        ),
        example="How much is the lamp?",
        architectures=("gpt2", "llama"),
        stacks="one",
        has_labels=False,
        slices=("length", "turns"),
        has_shared_length=True,
        has_turns=True,
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
        has_two_languages=True,
    ),
}


def tasks_with(has_it: Callable[[TaskFacts], bool]) -> tuple[Task, ...]:
    """The tasks of which it is true, in the order of Task."""
    return tuple(task for task in get_args(Task) if has_it(TASKS[task]))


def labels_in(task: Task, answer: str) -> tuple[str, ...]:
    """The labels that a row's answer names; none where answers are texts."""
    if TASKS[task].has_label_sets:
        return read_labels(answer)
    return (answer,) if TASKS[task].has_labels else ()


def slice_metric(task: Task, metric: Metric) -> Metric:
    """What parts of the test split are judged by: texts by what decides, labels by accuracy.

    macro-F1 of one label means nothing; sets of labels have micro-F1 where an F1 decides, since few
    sets of many labels are right as a whole.
    """
    facts = TASKS[task]
    if not facts.has_labels:
        return metric
    return "micro_f1" if facts.has_label_sets and metric.endswith("_f1") else "accuracy"
