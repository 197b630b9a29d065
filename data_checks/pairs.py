"""Rows for translation: a source and one of its right translations."""

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from data_checks.config import ChecksConfig
from data_checks.copies import Rule, copies_of_test, copies_of_validation
from data_checks.expectation import Check, rest
from data_checks.languages import is_foreign
from data_checks.split import check_filled
from records.data import CheckResult
from records.text import normalise

SMOOTH_CHARS = 10
"""Added to both lengths, so that short sentences are not thrown out for a word."""


class Pairs:
    """A source (`text`) with a target (`label`); several targets of one source are references."""

    def __init__(self, source_language: str | None, target_language: str | None) -> None:
        self._languages = {"text": source_language, "label": target_language}

    @property
    def names(self) -> Mapping[str, str]:
        return {"text": "source", "label": "target"}

    def measure(self, frame: pd.DataFrame) -> None:
        """is_copy, length_factor (how far the pair's ratio is from the median), ok:text, ok:label."""
        if {str(frame[c].dtype) if c in frame else "" for c in self.names} != {"str"}:
            return
        pairs = list(zip(frame["text"], frame["label"], strict=True))
        is_copy = [_both(*pair) and normalise(pair[0]) == normalise(pair[1]) for pair in pairs]
        frame["is_copy"] = pd.Series(is_copy, frame.index, dtype="bool")
        frame["length_factor"] = _length_factors(pairs, frame.index)
        for column, language in self._languages.items():
            if language:
                ok = [not (isinstance(t, str) and is_foreign(t, language)) for t in frame[column]]
                frame[f"ok:{column}"] = pd.Series(ok, frame.index, dtype="bool")

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """How many targets are copies, of odd length, or in another language."""
        copies = Check(
            name="copied_targets",
            column="label",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "is_copy", "value_set": [False],
                       "mostly": rest(checks.max_copied_share)},
            limit=f"at most {checks.max_copied_share:.1%} of targets are copies of their source",
            next_step="is data.label the target? translate them, or raise checks.max_copied_share",
        )  # fmt: skip
        lengths = Check(
            name="length_ratio",
            column="label",
            expectation="ExpectColumnValuesToBeBetween",
            arguments={"column": "length_factor", "max_value": checks.max_length_factor},
            limit=f"lengths of source and target in the usual ratio, times or by at most "
            f"{checks.max_length_factor:g}",
            next_step="they are dropped (kept in a given test); see checks.max_length_factor",
            blocking=False,
        )
        declared = [column for column, language in self._languages.items() if language]
        return (copies, lengths, *(self._language_check(c, checks) for c in declared))

    def _language_check(self, column: str, checks: ChecksConfig) -> Check:
        name, language = self.names[column], self._languages[column]
        return Check(
            name=f"{name}_language",
            column=column,
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": f"ok:{column}", "value_set": [True],
                       "mostly": rest(checks.max_foreign_share)},
            limit=f"at most {checks.max_foreign_share:.1%} of rows whose {name} is not in {language}",
            next_step=f"are the columns swapped? set data.text and data.label, or "
            f"data.{name}_language",
        )  # fmt: skip

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """What cannot be a translation goes, and every copy of a pair but the first."""
        return {
            "copy_of_source": lambda rows: rows["is_copy"],
            "length_ratio": lambda rows: rows["length_factor"] > checks.max_length_factor,
            "copy_of_test": copies_of_test(frame),
            "copy_of_validation": copies_of_validation,
            "duplicate": lambda rows: rows.duplicated(["text_key", "label"]),
        }

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        """The lengths of an odd pair."""
        odd = dropped[dropped["reason"] == "length_ratio"]
        return {
            index: f"{len(source)} against {len(target)} characters"
            for index, source, target in odd[["text", "label"]].itertuples()
        }

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        """What went, and sources with several references."""
        counts = dropped["reason"].value_counts()
        several = kept.groupby("text_key")["label"].nunique()
        return (
            (int(counts.get("missing_label", 0)), "rows dropped: they have no target"),
            (
                int(counts.get("copy_of_source", 0)),
                "rows dropped: the target is a copy of the source",
            ),
            (int(counts.get("length_ratio", 0)), "rows dropped: one side is far too long"),
            (int((several > 1).sum()), "sources have several targets; they judge together"),
        )

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Rows in every split."""
        return check_filled(rows)


def _both(source: object, target: object) -> bool:
    return isinstance(source, str) and isinstance(target, str)


def _length_factors(
    pairs: Sequence[tuple[object, object]], index: "pd.Index[int]"
) -> "pd.Series[float]":
    """Per pair max(r, 1/r), where r is its ratio of lengths over the median ratio of all; 1 is usual."""
    logs = [
        math.log((len(target) + SMOOTH_CHARS) / (len(source) + SMOOTH_CHARS))
        if isinstance(source, str) and isinstance(target, str)
        else None
        for source, target in pairs
    ]
    ratios = pd.Series(logs, index, dtype="float64")
    return (ratios - ratios.median()).abs().map(math.exp)
