"""Rows for chat: the turns before an answer, and the answer."""

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from data_checks.config import ChecksConfig
from data_checks.copies import Rule, copies_of_test, copies_of_validation
from data_checks.expectation import Check
from data_checks.split import check_filled
from records.data import CheckResult
from records.dialogue import first_question


class Dialogues:
    """A dialogue (`text`) and the assistant's answer to it (`label`); several may be right."""

    @property
    def names(self) -> Mapping[str, str]:
        return {"text": "prompt", "label": "answer"}

    def measure(self, frame: pd.DataFrame) -> None:
        """key: the first user's turn."""
        if str(frame["text"].dtype if "text" in frame else "") == "str":
            keys = [first_question(t) if isinstance(t, str) else None for t in frame["text"]]
            frame["key"] = pd.Series(keys, frame.index, dtype="str")

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """None beyond those of every text: roles and order are seen to when the file is read."""
        return ()

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """Copies go; another answer to the same question stays."""
        return {
            "copy_of_test": copies_of_test(frame),
            "copy_of_validation": copies_of_validation,
            "duplicate": lambda rows: rows.duplicated(["text", "label"]),
        }

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        return {}

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        """Rows without an answer, and questions with several."""
        missing = int((dropped["reason"] == "missing_label").sum())
        several = int((kept.groupby("text")["label"].nunique() > 1).sum())
        return (
            (missing, "rows dropped: they have no answer"),
            (several, "prompts have several answers; they judge together"),
        )

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Dialogues in every split."""
        return check_filled(rows)
