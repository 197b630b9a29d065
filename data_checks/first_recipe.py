"""A commented recipe for a file that was sniffed: what `refit init` writes."""

import json
from pathlib import Path

from data_checks.sniff import MAX_LABELS_LISTED, Sniffed

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
    head = [
        f"# A first recipe for {path.name}: {about}{sniffed.num_rows:,} rows,"
        f" {len(sniffed.num_by_label)} labels. Read it once; `refit check` says what it thinks.",
        *(f"# Look at this: {warning}" for warning in sniffed.warnings),
        f"name: {_yaml(name)}",
        "task: classification",
        "",
    ]
    parts = (_data(path, sniffed), _checks(sniffed), _split(), _base(sniffed), _gate(sniffed))
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
    labels = {label: label for label in list(sniffed.num_by_label)[:3]}
    return [
        *lines,
        f"  text: {_yaml(sniffed.text)}",
        f"  label: {_yaml(sniffed.label)}",
        f"  attributes: {_yaml(list(sniffed.attributes))}   # kept for slices and grouping",
        f"  # rename_labels: {_yaml(labels)}   # value in the file: name of the label",
    ]


def _checks(sniffed: Sniffed) -> list[str]:
    labels = sorted(sniffed.num_by_label)
    least = min(sniffed.num_by_label.values(), default=0)
    lines = [
        "checks:",
        f"  min_rows: {max(1, min(200, sniffed.num_rows))}",
        f"  min_per_label: {max(1, min(10, least))}",
    ]
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
    tokens = round(sniffed.p95_words * _TOKENS_PER_WORD * 1.2) + 2
    max_length = next(size for size in (32, 64, 128, 256, 512) if size >= min(tokens, 512))
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


def _gate(sniffed: Sniffed) -> list[str]:
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
