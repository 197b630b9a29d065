"""Which rows are kept, and why each other one is in the quarantine."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from data_checks.config import ChecksConfig

REASONS = (
    "empty_text", "missing_label", "too_short", "too_long", "copy_of_test", "conflicting_labels",
    "copy_of_validation", "duplicate", "not_checked",
)  # fmt: skip
"""In the order in which they are looked for: a row has the first one that holds."""


@dataclass(frozen=True)
class Cleaned:
    """Kept rows, and quarantined ones with two more columns: reason and detail."""

    kept: pd.DataFrame
    quarantine: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def dropped(self) -> dict[str, int]:
        """Quarantined rows by reason."""
        counts = self.quarantine["reason"].value_counts()
        return {reason: int(counts[reason]) for reason in REASONS if reason in counts}


def clean(frame: pd.DataFrame, checks: ChecksConfig) -> Cleaned:
    """Give every row that cannot be learned from its one reason, and say what was found.

    Rows of a given test (split == "test") are never dropped: what is wrong in them is said.
    Under a split by hash no row is in a test yet, so a text with two labels is dropped wherever
    it would have gone.

    Args:
        frame: measured rows (`data_checks.schema.measure`) with all columns in their types.
        checks: min_chars and max_chars, in characters after stripping.
    """
    reason = pd.Series(pd.NA, frame.index, dtype="str")
    is_test = frame["split"] == "test"
    for name, holds in _rules(frame, checks).items():
        open_rows = frame[reason.isna()]
        found = holds(open_rows).reindex(frame.index, fill_value=False) & ~is_test
        reason = reason.mask(found, name)
    return _divided(frame, reason, checks)


def drop_all(frame: pd.DataFrame, detail: str) -> Cleaned:
    """Every row in the quarantine as `not_checked`, where columns or types are missing."""
    return Cleaned(frame.iloc[:0], frame.assign(reason="not_checked", detail=detail), ())


_Rule = Callable[[pd.DataFrame], "pd.Series[bool]"]


def _rules(frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, _Rule]:
    """Reason: which of the rows that no earlier reason took it holds for."""
    test_keys = frame.loc[frame["split"] == "test", "text_key"].dropna()
    return {
        "empty_text": lambda rows: rows["text_key"].isna(),
        "missing_label": lambda rows: rows["label"].isna(),
        "too_short": lambda rows: rows["num_chars"] < checks.min_chars,
        "too_long": lambda rows: rows["num_chars"] > checks.max_chars,
        "copy_of_test": lambda rows: rows["text_key"].isin(test_keys),
        "conflicting_labels": _conflicts,
        "copy_of_validation": _copies_of_validation,
        "duplicate": lambda rows: rows.duplicated("text_key"),
    }


def _conflicts(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows.groupby("text_key")["label"].transform("nunique") > 1


def _copies_of_validation(rows: pd.DataFrame) -> "pd.Series[bool]":
    keys = rows.loc[rows["split"] == "validation", "text_key"]
    return (rows["split"] == "train") & rows["text_key"].isin(keys)


def _divided(frame: pd.DataFrame, reason: "pd.Series[str]", checks: ChecksConfig) -> Cleaned:
    is_kept = reason.isna()
    kept = frame[is_kept]
    quarantine = frame[~is_kept].assign(reason=reason[~is_kept])
    quarantine = quarantine.assign(detail=_details(frame, kept, quarantine))
    cleaned = Cleaned(kept, quarantine, _warnings(kept, quarantine, checks))
    num_dropped = sum(cleaned.dropped.values())
    if len(frame) != len(kept) + num_dropped:
        raise AssertionError(f"{len(frame)} rows in, {len(kept)} kept + {num_dropped} dropped")
    return cleaned


def _details(frame: pd.DataFrame, kept: pd.DataFrame, quarantine: pd.DataFrame) -> list[str]:
    """What a person needs to see the reason: the copy's place, the labels, the length."""
    keys = quarantine["text_key"]
    twins = kept[kept["text_key"].isin(keys)].drop_duplicates("text_key")
    places = {
        key: f"of {file} row {row}"
        for key, file, row in twins[["text_key", "file", "row"]].itertuples(index=False)
    }
    conflicts = frame[frame["text_key"].isin(keys[quarantine["reason"] == "conflicting_labels"])]
    labels = {
        key: "labels: " + ", ".join(sorted(set(found.dropna())))
        for key, found in conflicts.groupby("text_key")["label"]
    }
    lengths = {"too_short", "too_long"}
    table = quarantine[["reason", "text_key", "num_chars"]].itertuples(index=False)
    return [
        f"{num_chars:.0f} characters"
        if reason in lengths
        else (labels if reason == "conflicting_labels" else places).get(key, "")
        for reason, key, num_chars in table
    ]


def _warnings(
    kept: pd.DataFrame, quarantine: pd.DataFrame, checks: ChecksConfig
) -> tuple[str, ...]:
    test = kept[kept["split"] == "test"]
    conflicting = quarantine[quarantine["reason"] == "conflicting_labels"]
    counts = quarantine["reason"].value_counts()
    two_labels = int((test.groupby("text_key")["label"].nunique() > 1).sum())
    lengths_ok = test["num_chars"].between(checks.min_chars, checks.max_chars)
    found = (
        (len(conflicting), f"rows dropped: {conflicting['text_key'].nunique()} texts carry two labels"),
        (counts.get("duplicate", 0), "rows dropped: the same text and label comes before them"),
        (counts.get("copy_of_test", 0), "training or validation rows dropped: their text is in the test"),
        (counts.get("copy_of_validation", 0), "training rows dropped: their text is in the validation data"),
        (two_labels, "texts of the given test carry two labels; a given test is never changed"),
        (int(test.duplicated("text_key").sum()), "repeated texts in the given test; they share a group"),
        (int((~lengths_ok).sum()), "texts of the given test are outside min_chars..max_chars; kept"),
    )  # fmt: skip
    return tuple(f"{number} {what}" for number, what in found if number)
