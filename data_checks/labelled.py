"""Rows for classification: a text and one label."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd

from data_checks.config import ChecksConfig, DataConfig
from data_checks.copies import Rule, copies_of_test, copies_of_validation
from data_checks.expectation import Check, few
from data_checks.split import check_splits
from records.data import CheckResult
from records.text import normalise


class Labelled:
    """A text with one of a few labels."""

    def __init__(self, data: DataConfig | None = None) -> None:
        self.renamed = tuple(sorted(set(data.rename_labels.values()))) if data else ()

    @property
    def names(self) -> Mapping[str, str]:
        return {"text": "text", "label": "label"}

    def measure(self, frame: pd.DataFrame) -> None:
        """label_rows and label_share, of the row's label."""
        if str(frame["label"].dtype if "label" in frame else "") != "str":
            return
        counts = frame["label"].value_counts()
        frame["label_rows"] = frame["label"].map(counts).astype("float64")
        frame["label_share"] = frame["label_rows"] / max(int(counts.sum()), 1)

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """Which labels there are, and how many rows of each."""
        allowed = checks.labels or self.renamed
        known = Check(
            name="label_set",
            column="label",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "label", "value_set": list(allowed)},
            limit=few(allowed),
            next_step="mend the rows, or add the label to checks.labels or data.rename_labels",
        )
        present = Check(
            name="labels_present",
            column="label",
            expectation="ExpectColumnDistinctValuesToContainSet",
            arguments={"column": "label", "value_set": list(checks.labels)},
            limit=few(checks.labels),
            next_step="add rows of the missing ones, or take them out of checks.labels",
        )
        optional = ((known,) if allowed else ()) + ((present,) if checks.labels else ())
        return (*optional, num_labels_check(checks), *balance_checks(checks))

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """Copies go; a text with two labels teaches nothing."""
        return {
            "copy_of_test": copies_of_test(frame),
            "conflicting_labels": _conflicts,
            "copy_of_validation": copies_of_validation,
            "duplicate": lambda rows: rows.duplicated("text_key"),
        }

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        """The labels that one text carries."""
        conflicting = dropped[dropped["reason"] == "conflicting_labels"]
        found = frame[frame["text_key"].isin(conflicting["text_key"])]
        labels = {
            key: "labels: " + ", ".join(sorted(set(values.dropna())))
            for key, values in found.groupby("text_key")["label"]
        }
        return {index: labels[key] for index, key in conflicting["text_key"].items()}

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        """Labels that hardly differ, and texts with two labels."""
        test = kept[kept["split"] == "test"]
        conflicting = dropped[dropped["reason"] == "conflicting_labels"]
        return (
            alike_warning(kept["label"].dropna().unique()),
            (
                len(conflicting),
                f"rows dropped: {conflicting['text_key'].nunique()} texts carry two labels",
            ),
            (
                int((test.groupby("text_key")["label"].nunique() > 1).sum()),
                "texts of the given test carry two labels; a given test is never changed",
            ),
        )

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Rows of every label in every split."""
        return check_splits(rows, checks.labels)


def alike_warning(labels: Iterable[str]) -> tuple[int, str]:
    """How many labels hardly differ, and what is said of them."""
    alike = _alike(labels)
    shown = few(map(repr, alike))
    return len(alike), f"labels look alike: {shown}; make them one by data.rename_labels"


def _alike(labels: Iterable[str]) -> list[str]:
    """The labels that another one equals but for case, width or white space; equal ones together."""
    by_form: dict[str, list[str]] = {}
    for label in sorted(labels):
        by_form.setdefault(normalise(label), []).append(label)
    return [label for same in by_form.values() if len(same) > 1 for label in same]


def _conflicts(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows.groupby("text_key")["label"].transform("nunique") > 1


def num_labels_check(checks: ChecksConfig) -> Check:
    """At least so many labels."""
    return Check(
        name="num_labels",
        column="label",
        expectation="ExpectColumnUniqueValueCountToBeBetween",
        arguments={"column": "label", "min_value": checks.min_labels},
        limit=f"at least {checks.min_labels} labels",
        next_step="there is nothing to tell apart: check data.label",
    )


def balance_checks(checks: ChecksConfig) -> tuple[Check, ...]:
    """Neither too few rows of a label, nor hardly any other label: by label_rows and label_share."""
    return (
        Check(
            name="rows_per_label",
            column="label",
            expectation="ExpectColumnValuesToBeBetween",
            arguments={"column": "label_rows", "min_value": checks.min_per_label},
            limit=f"at least {checks.min_per_label} rows of each label",
            next_step="add rows, merge labels by data.rename_labels, or lower checks.min_per_label",
        ),
        Check(
            name="label_balance",
            column="label",
            expectation="ExpectColumnValuesToBeBetween",
            arguments={"column": "label_share", "max_value": checks.max_label_share},
            limit=f"at most {checks.max_label_share:.1%} of rows with one label",
            next_step="add rows of the other labels, or raise checks.max_label_share",
        ),
    )
