"""The model card: Markdown for the registered version's description and the artifact's README."""

import re

from records.document import DecisionDocument
from records.task import TASKS, Task
from report.charts import shorten
from report.figures import count, counted, metric_name, percent
from report.markdown import (
    digest,
    escape_markdown,
    links_markdown,
    markdown_table,
    score_rows,
)
from report.sentence import sentence
from report.view import interval_text, metric_of, rule_name

MAX_CHARACTERS = 5_000
"""MLflow's column for a description (`SqlModelVersion.description`) holds no more."""
ABOUT: dict[Task, tuple[str, str]] = {
    "classification": (
        "text classifier",
        "It answers one of its labels for any text, also for one that none of them fits.",
    ),
    "multilabel": (
        "text classifier that gives any number of labels,",
        "It decides on each label by itself, by a threshold that was tuned on validation; it may give "
        "none, and knows no other.",
    ),
    "chat": (
        "chat model",
        "It answers any prompt, also one that it knows nothing about, and can make things up.",
    ),
    "language_modeling": (
        "language model",
        "It knows which texts are likely, not which are true; it is made to be a base for others.",
    ),
    "translation": (
        "translator",
        "It writes a translation of any text, also of one in another language, and can make things up.",
    ),
}
"""What a model is, and what to beware of."""
MOST_LISTED = (100, 30, 10, 3, 0)
"""Labels, intervals and warnings listed at most: the first number whose card is short enough."""


def model_card(document: DecisionDocument) -> str:
    """What the model is, from what, how good, its limits and how to load it.

    Returns:
        Escaped Markdown of at most `MAX_CHARACTERS` characters; long lists are shortened, saying so.
    """
    cards = (_card(document, most) for most in MOST_LISTED)
    card = next((card for card in cards if len(card) <= MAX_CHARACTERS), "")
    return card or shorten(_card(document, 0), MAX_CHARACTERS)


def _card(document: DecisionDocument, most: int) -> str:
    labels = [escape_markdown(label) for label in document.data.labels]
    about, noun = ABOUT[document.file.record.task][0], "label"
    parts = [
        f"# {escape_markdown(document.file.record.name)}",
        f"A {about}{f' with {counted(len(labels), noun)}' if labels else ''}, "
        "fine-tuned and judged by refit. "
        f"{escape_markdown(sentence(document))}",
        *_description(document, most),
        f"Labels: {', '.join(_first(labels, most))}." if labels else "",
        *_scores(document, most),
        links_markdown({"Whole report": document.report_uri}),
        "## Base, training and data",
        _training_text(document),
        _data_text(document),
        "## Limits",
        "\n".join(_first(_limits(document), 4 + most, item="- ")),
        "## How to load it",
        _usage(document.file.record.name, document.file.record.task),
        "## Digests",
        "\n".join(f"- {name}: `{digest(text)}`" for name, text in _digests(document)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _description(document: DecisionDocument, most: int) -> list[str]:
    """What the recipe says that the model is for, by paragraphs; its begin where room is short."""
    text = str(document.recipe.get("description") or "")
    text = text if most >= 10 else shorten(text, 500)
    return [escape_markdown(part) for part in re.split(r"\n\s*\n", text.strip()) if part]


def _first(lines: list[str], most: int, item: str = "") -> list[str]:
    """The first `most` of the lines, and how many are left out."""
    rest = len(lines) - most
    return [*lines[:most], f"{item}{count(rest)} more"] if rest > 0 else lines


def _scores(document: DecisionDocument, most: int) -> list[str]:
    num_items = len(document.file.record.items.item_ids)
    intervals = _interval_rows(document)
    left_out = len(intervals) - most
    return [
        "## Scores",
        f"On {counted(num_items, 'held-out test item')}, from the saved artifact loaded in a fresh "
        "process.",
        markdown_table(score_rows(document)),
        markdown_table(intervals[:most]),
        f"{count(left_out)} more intervals are in the decision." if left_out > 0 else "",
    ]


def _interval_rows(document: DecisionDocument) -> list[dict[str, str]]:
    head = f"{metric_name(metric_of(document))} (one-sided bounds)"
    return [
        {"evidence": escape_markdown(rule_name(f.rule)), head: interval_text(document, f)}
        for f in document.file.decision.findings
        if f.interval
    ]


def _training_text(document: DecisionDocument) -> str:
    train = document.train
    return (
        f"Base: {escape_markdown(train.base)} (`{digest(train.base_digest)}`). "
        f"{counted(train.num_steps, 'step')} in {escape_markdown(train.dtype)} on "
        f"{escape_markdown(train.device)}, seed {train.seed}; kept step {count(train.best_step)}."
        f"{''.join(f' The time limit ended {what}.' for what in _cut(document))}"
    )


def _cut(document: DecisionDocument) -> list[str]:
    """What a time limit ended before its end, in the order of the run."""
    parts = {
        "the choice of the base": document.choice,
        "the search for settings": document.search,
        "the training": document.train,
    }
    return [what for what, found in parts.items() if found is not None and found.is_cut]


def _data_text(document: DecisionDocument) -> str:
    report = document.data.report
    reasons = [f"{escape_markdown(r)} {count(n)}" for r, n in sorted(report.dropped.items()) if n]
    dropped = f" (dropped: {', '.join(reasons)})" if reasons else ""
    splits = ", ".join(f"{ref.split} {count(ref.num_rows)}" for ref in document.data.splits)
    return (
        f"Snapshot `{digest(report.snapshot_digest)}`: {counted(report.num_in, 'row')}, "
        f"{count(report.num_kept)} kept{dropped}. Splits: {splits or 'none'}."
    )


def _limits(document: DecisionDocument) -> list[str]:
    record, train = document.file.record, document.train
    cut = record.challenger.num_truncated
    share = percent(cut / max(1, len(record.items.item_ids)))
    unknown = (
        "- What the base model was trained on is not known: its biases and licence carry over."
    )
    known = "- The biases and the licence of the base model carry over."
    return [
        f"- {ABOUT[record.task][1]}",
        "- The scores hold for texts like those of the test set; other topics, languages or times "
        "were not measured.",
        f"- Longer texts are cut: {counted(cut, 'test text')} ({share}).",
        known if train.base_lineage_known else unknown,
        *(f"- {escape_markdown(warning)}" for warning in document.data.report.warnings),
    ]


def _usage(name: str, task: Task) -> str:
    """A code block; a name that could end it gives way to a placeholder."""
    safe = name if re.fullmatch(r"[\w .-]+", name) else "<name>"
    facts = TASKS[task]
    if not facts.has_labels or facts.has_label_sets:  # MLflow's pipeline gives one label
        return (
            "```python\nimport mlflow\n\n"
            f'model = mlflow.pyfunc.load_model("models:/{safe}@champion")\n'
            'model.predict(["a text"])\n```'
        )
    return (
        "```python\nimport mlflow\n\n"
        f'classify = mlflow.transformers.load_model("models:/{safe}@champion", truncation=True)\n'
        'classify("a text")\n```'
    )


def _digests(document: DecisionDocument) -> list[tuple[str, str]]:
    return [
        ("model", document.file.record.challenger.model_digest),
        ("decision", document.decision_digest),
        ("train key", document.train.train_key),
        ("split key", document.data.data_key),
    ]
