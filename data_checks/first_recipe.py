"""A commented recipe for a file that was sniffed: what `refit init` writes."""

import json
from pathlib import Path

from data_checks.sniff import MAX_LABELS_LISTED, Sniffed
from records.task import TASKS

_TOKENS_PER_WORD = 1.4
"""WordPiece on English, roughly; with a fifth on top it holds for noisy text as well."""


def write_recipe_text(path: Path, sniffed: Sniffed, name: str) -> str:
    """A recipe in YAML, with a comment on each line that somebody may want to change.

    Args:
        path: The data file, as the recipe shall name it.
        sniffed: What `sniff(path)` found.
        name: Of the recipe and of the registered model.
    """
    about = "about " if sniffed.is_estimate else ""
    has_labels = TASKS[sniffed.task].has_labels
    labels = f" {len(sniffed.num_by_label)} labels" if has_labels else f" for {sniffed.task}"
    head = [
        f"# A first recipe for {path.name}: {about}{sniffed.num_rows:,} rows,"
        f"{labels}. Read it once; `refit check` says what it thinks.",
        *(f"# Look at this: {warning}" for warning in sniffed.warnings),
        f"name: {_yaml(name)}",
        f"task: {sniffed.task}",
        "",
    ]
    if sniffed.task == "multilabel":
        labels += ", several for a text"
    base = _base(sniffed) if has_labels else _text_base(sniffed)
    gate = _gate(sniffed) if has_labels else _TEXT_GATES[sniffed.task]
    parts = (_data(path, sniffed), _checks(sniffed), _split(), base, gate)
    return "\n".join(head) + "\n" + "\n".join("\n".join(part) + "\n" for part in parts)


def _data(path: Path, sniffed: Sniffed) -> list[str]:
    lines = [
        "data:",
        f"  source: {_yaml(str(path))}   # or train:, validation: and test: where these are given",
        f"  format: {sniffed.format}",
        f"  encoding: {sniffed.encoding}",
    ]
    if sniffed.delimiter:
        lines.append(f"  delimiter: {_yaml(sniffed.delimiter)}")
    if sniffed.quoting != "auto":
        lines.append(f"  quoting: {sniffed.quoting}")
    if sniffed.columns:
        lines.append(f"  columns: {_yaml(list(sniffed.columns))}   # the file has no header")
    if sniffed.messages:
        lines.append(f"  messages: {_yaml(sniffed.messages)}   # all turns; the last is the answer")
    else:
        lines.append(f"  text: {_yaml(sniffed.text)}")
    if sniffed.label and not sniffed.messages:
        lines.append(f"  label: {_yaml(sniffed.label)}")
    if sniffed.format != "text":
        attributes = _yaml(list(sniffed.attributes))
        lines.append(f"  attributes: {attributes}   # kept for slices and grouping")
    return [*lines, *_of_task(sniffed)]


def _of_task(sniffed: Sniffed) -> list[str]:
    """Settings of `data` that only this task reads."""
    labels = {label: label for label in list(sniffed.num_by_label)[:3]}
    source, target = sniffed.languages or ("en", "de")
    mark = "" if sniffed.languages else "# "
    renaming = f"  # rename_labels: {_yaml(labels)}   # value in the file: name of the label"
    separator = _yaml(sniffed.label_separator)
    return {
        "classification": [renaming],
        "multilabel": [
            f"  label_separator: {separator}   # between labels, where they are no list; [] is none",
            renaming,
        ],
        "translation": [
            f"  {mark}source_language: {_yaml(source)}   # then checked; swapped columns refuse",
            f"  {mark}target_language: {_yaml(target)}   # also says how BLEU splits words",
        ],
        "language_modeling": ["  # documents: file   # where blank lines do not part documents"]
        if sniffed.format == "text"
        else [],
        "chat": [],
    }[sniffed.task]


def _checks(sniffed: Sniffed) -> list[str]:
    labels = sorted(sniffed.num_by_label)
    least = min(sniffed.num_by_label.values(), default=0)
    lines = ["checks:", f"  min_rows: {max(1, min(200, sniffed.num_rows))}"]
    if not labels:
        return lines
    lines.append(f"  min_per_label: {max(1, min(10, least))}")
    if len(labels) <= MAX_LABELS_LISTED and not sniffed.is_estimate:
        lines.append(f"  labels: {_yaml(labels)}   # another label stops the run")
    return lines


def _split() -> list[str]:
    return [
        "split:",
        "  test: 0.2   # share of texts that judge; by hash, so a row keeps its place as data grows",
        "  validation: 0.1",
    ]


def _base(sniffed: Sniffed) -> list[str]:
    max_length = _length(sniffed.p95_words)
    return [
        "base:",
        '  model: "package:all-minilm-l6-v2"   # or a hub id with its revision, or a folder',
        "",
        "train:",
        "  epochs: 3",
        "  learning_rate: 1.0e-4",
        "  batch_size: 32",
        f"  max_length: {max_length}   # tokens; 95 % of the texts have {sniffed.p95_words} words or fewer",
        "  seed: 1",
    ]


def _length(num_words: int) -> int:
    tokens = round(num_words * _TOKENS_PER_WORD * 1.2) + 2
    return next(size for size in (32, 64, 128, 256, 512) if size >= min(tokens, 512))


def _text_base(sniffed: Sniffed) -> list[str]:
    """A small model from nothing, which runs anywhere, and what to write where there is a hub."""
    source, answer = sniffed.p95_words, sniffed.p95_answer_words
    is_pair = sniffed.task == "translation"
    max_length = _length(max(source, answer) if is_pair else source + answer)
    if sniffed.task == "chat":  # a dialogue and its answer stand in it together
        max_length = max(max_length, 2 * _length(answer))
    shape = {"translation": "marian", "chat": "llama", "language_modeling": "gpt2"}[sniffed.task]
    lines = [
        "base:",
        f"  scratch: {{architecture: {shape}, layers: 3, width: 128, heads: 4, "
        f"positions: {max(64, max_length)}, vocabulary: 4000}}",
        "  # or model: a hub id with its revision, a folder, models:/name@champion; see docs",
        "",
        "train:",
        "  epochs: 10",
        "  learning_rate: 1.0e-3",
        "  warmup_ratio: 0.1",
        "  batch_size: 32",
        f"  max_length: {max_length}   # tokens; 95 % of the texts have {source} words or fewer",
    ]
    if sniffed.task == "chat":
        lines.append("  chat_template: plain   # model: where the base was made for chat")
    if is_pair:
        lines.append(f"  max_target_length: {max_length}")
    if answer:
        lines.append(
            f"  generation: {{beams: {4 if is_pair else 1}, max_new_tokens: {_length(answer)}}}"
        )
    return [*lines, "  seed: 1"]


_TEXT_GATES = {
    "translation": [
        "gate:",
        "  metric: chrf   # or bleu; corpus scores as shares, 0.3 is 30 points",
        "  minimum: 0.3   # the least that is of use; the lower bound must clear it",
        "  margin: 0.02   # against the champion: not worse than this",
    ],
    "chat": [
        "gate:",
        "  metric: loss_per_byte   # or exact_match, where there is one right answer; chrf, rouge_l",
        "  minimum: 2.0   # a ceiling, in nats; the untuned base and nearest answers must be beaten too",
        "  margin: 0.02   # against the champion: not worse than this",
    ],
    "language_modeling": [
        "gate:",
        "  metric: loss_per_byte   # compares whatever the tokens",
        "  minimum: 2.0   # a ceiling, in nats; n-grams must be beaten too",
        "  margin: 0.02   # against the champion: not worse than this",
    ],
}


def _gate(sniffed: Sniffed) -> list[str]:
    if sniffed.task == "multilabel":
        return [
            "gate:",
            "  metric: micro_f1   # or macro_f1; accuracy counts only whole sets; log_loss",
            "  minimum: 0.5   # the least that is of use; the lower bound must clear it",
            "  rule: non_inferior   # against the champion: not worse than the margin",
            "  margin: 0.02",
        ]
    total = max(1, sum(sniffed.num_by_label.values()))
    majority = max(sniffed.num_by_label.values(), default=0) / total
    minimum = min(0.99, (1 + majority) / 2)  # 1 can never be cleared
    return [
        "gate:",
        "  metric: accuracy",
        f"  minimum: {minimum:.2f}   # the most frequent label alone gives {majority:.2f}",
        "  rule: non_inferior   # against the champion: not worse than the margin",
        "  margin: 0.02",
    ]


def _yaml(value: object) -> str:
    """JSON is YAML, and quotes what YAML would take for a number or a truth value."""
    return json.dumps(value, ensure_ascii=False)
