"""What a table's columns say about its task: dialogues, pairs, questions, a text and its labels or label."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_checks.cells import list_in
from records.dialogue import split_answer
from records.task import Task

LANGUAGES = (
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "it", "ja", "ko", "nl",
    "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
_SOURCES, _TARGETS = re.compile(r"source|src", re.I), re.compile(r"target|tgt|trg", re.I)
_QUESTIONS = re.compile(r"prompt|question|instruction|query|input", re.I)
_ANSWERS = re.compile(r"answer|response|completion|output|reply", re.I)


_LABELS = re.compile(r"labels?|tags?|topics?|categories|genres?|classes|aspects?|emotions?", re.I)
_SEPARATORS = "|;,"


class Roles(NamedTuple):
    """Columns of a task whose answers are texts."""

    task: Task
    text: str
    label: str
    messages: str | None = None
    languages: tuple[str, str] | None = None
    """Of source and target, where the columns are named after them."""


def text_roles(columns: Mapping[str, Sequence[str]]) -> Roles | None:
    """The task that the columns are for, where that is clear; None: a text and its label, if any.

    Args:
        columns: name -> cells, those of a list as JSON.
    """
    for name, cells in columns.items():
        filled = [cell for cell in cells if cell]
        if filled and sum(not split_answer(cell)[2] for cell in filled) > len(filled) / 2:
            return Roles("chat", "prompt", "answer", messages=name)
    named = [name for name in columns if name.lower() in LANGUAGES]
    if len(named) == 2 and all(_is_text(columns[name]) for name in named):
        languages = (named[0].lower(), named[1].lower())
        return Roles("translation", named[0], named[1], languages=languages)
    wanted: tuple[tuple[Task, re.Pattern[str], re.Pattern[str]], ...] = (
        ("translation", _SOURCES, _TARGETS), ("chat", _QUESTIONS, _ANSWERS),
    )  # fmt: skip
    for task, first, second in wanted:
        text = next((name for name in columns if first.fullmatch(name)), None)
        label = next((name for name in columns if second.fullmatch(name)), None)
        if text and label and _is_text(columns[label]):
            return Roles(task, text, label)
    return None


def _is_text(cells: Sequence[str]) -> bool:
    """Whether the cells are too different to be labels."""
    return len(set(cells)) > max(2, len(cells) / 5)


def label_sets(columns: Mapping[str, Sequence[str]]) -> tuple[str, str | None] | None:
    """The column that holds sets of labels, and what stands between them (None: it holds lists).

    Lists of few different texts are such sets, whatever the column is called; texts with separators
    only where the column is called after labels, and as many cells as labels differ.

    Args:
        columns: name -> cells, those of a list as JSON.
    """
    for name, cells in columns.items():
        lists = [found for cell in cells if cell and (found := _labels_in(cell)) is not None]
        if 2 * len(lists) > sum(map(bool, cells)) and _are_sets(lists, len(lists) / 5):
            return name, None
    for name, cells in columns.items():
        filled = [cell for cell in cells if cell] if _LABELS.fullmatch(name) else []
        for separator in _SEPARATORS:
            parts = [[part.strip() for part in cell.split(separator)] for cell in filled]
            if any(len(part) > 1 for part in parts) and _are_sets(
                parts, min(len(filled) / 5, len(set(filled)))
            ):
                return name, separator
    return None


def _are_sets(sets: Sequence[Sequence[str]], num_most: float) -> bool:
    """Whether at least two labels, and at most so many, make up the cells."""
    labels = {label for found in sets for label in found}
    return "" not in labels and 2 <= len(labels) <= max(2, num_most)


def _labels_in(cell: str) -> list[str] | None:
    """The texts of a list in JSON; None for anything else."""
    found = list_in(cell) if cell.startswith("[") else None
    labels = [entry for entry in found or () if isinstance(entry, str)]
    return labels if found is not None and len(labels) == len(found) else None
