"""What the rows of a task are: how they are measured, checked, cleaned and held complete.

Everything else in this room is the same for all tasks. A row always has a `text`, which the model
reads, and most have a `label`, what it should answer: a label's name, or a translation.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

import pandas as pd

from data_checks.config import ChecksConfig, DataConfig
from data_checks.copies import Rule
from data_checks.dialogues import Dialogues
from data_checks.documents import Documents
from data_checks.expectation import Check
from data_checks.label_sets import LabelSets
from data_checks.labelled import Labelled
from data_checks.pairs import Pairs
from records.data import CheckResult
from records.task import Task


class RowKind(Protocol):
    """One task's rows."""

    @property
    def names(self) -> Mapping[str, str]:
        """Column of the snapshot that must be filled -> what it is called to people."""

    def measure(self, frame: pd.DataFrame) -> None:
        """Add the columns that checks and rules read; what is not text may be missing.

        A column `key`, where it is added, takes the place of the text in split, groups and copies.
        """

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """Expectations beside those on size, columns, nulls, lengths and splits."""

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """Reason -> rule, in the order in which a row is asked that has all that `names` names."""

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        """Index of a dropped row -> what a person needs to see its reason, where copies do not say it."""

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        """How many, and what is worth saying of them; zeros are left out."""

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Whether each split has what is needed to learn and to judge; blocks."""


def row_kind(task: Task, data: DataConfig) -> RowKind:
    """The rows of a task, as a recipe's `data` describes them."""
    kinds: dict[Task, Callable[[], RowKind]] = {
        "classification": lambda: Labelled(data),
        "multilabel": lambda: LabelSets(data),
        "chat": Dialogues,
        "language_modeling": Documents,
        "translation": lambda: Pairs(data.source_language, data.target_language),
    }
    return kinds[task]()
