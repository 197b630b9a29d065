"""What a table's columns say about its task: dialogues, pairs, questions, or a text and its label."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from records.dialogue import split_answer
from records.task import Task

LANGUAGES = (
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "it", "ja", "ko", "nl",
    "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
_SOURCES, _TARGETS = re.compile(r"source|src", re.I), re.compile(r"target|tgt|trg", re.I)
_QUESTIONS = re.compile(r"prompt|question|instruction|query|input", re.I)
_ANSWERS = re.compile(r"answer|response|completion|output|reply", re.I)


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
