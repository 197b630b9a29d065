"""Rows for several labels: a text and the set of those that hold for it, which may be empty."""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

import pandas as pd

from data_checks.config import ChecksConfig, DataConfig
from data_checks.copies import Rule
from data_checks.expectation import Check, few
from data_checks.labelled import Labelled, alike_warning, balance_checks, num_labels_check
from data_checks.split import check_splits
from records.data import CheckResult
from records.labels import read_labels

SEPARATORS = ("|", ",", ";", "\t")
"""Between which a label may hide several."""


class LabelSets:
    """A text with a set of labels (records/labels.py). Two sets for one text contradict each other,
    as two labels do."""

    def __init__(self, data: DataConfig) -> None:
        self._single = Labelled(data)

    @property
    def names(self) -> Mapping[str, str]:
        return {"text": "text", "label": "labels"}

    def measure(self, frame: pd.DataFrame) -> None:
        """label_rows, label_share: of the row's rarest, and of its most frequent label; is_joined:
        one of its labels looks like several; num_labels, is_several: of all rows."""
        if str(frame["label"].dtype if "label" in frame else "") != "str":
            return
        sets = _sets(frame)
        counts = Counter(name for names in sets for name in names or ())
        joined = joined_labels(counts)
        num_rows = max(sum(names is not None for names in sets), 1)
        for column, pick, total in (("label_rows", min, 1), ("label_share", max, num_rows)):
            values = [
                pick((counts[n] / total for n in names or ()), default=None) for names in sets
            ]
            frame[column] = pd.Series(values, frame.index, dtype="float64")
        frame["is_joined"] = [not joined.keys().isdisjoint(names or ()) for names in sets]
        frame["num_labels"] = len(counts)
        frame["is_several"] = any(names is not None and len(names) != 1 for names in sets)

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """Which labels there are, how many rows of each, and whether they were taken apart."""
        allowed = checks.labels or self._single.renamed
        return (
            _known_check(allowed) if allowed else _joined_check(),
            _several_check(),
            replace(
                num_labels_check(checks),
                expectation="ExpectColumnMaxToBeBetween",
                arguments={"column": "num_labels", "min_value": checks.min_labels},
            ),
            *balance_checks(checks),
        )

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """Those of single labels."""
        return self._single.rules(frame, checks)

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        """The sets that one text carries."""
        return self._single.details(frame, dropped)

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        """Those of single labels, rows without any, and rows that lack them."""
        _, *others = self._single.warnings(kept, dropped)
        names = {name for value in kept["label"].dropna().unique() for name in read_labels(value)}
        missing = int((dropped["reason"] == "missing_label").sum())
        return (
            alike_warning(names),
            *others,
            (missing, "rows dropped: their labels are missing; a row without any is written []"),
        )

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Rows of every label in every split."""
        apart = rows[["split"]].assign(label=pd.Series(_sets(rows), rows.index)).explode("label")
        return check_splits(apart, checks.labels)


def joined_labels(labels: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Labels that look like several, with their parts: each part is in another label, too."""
    found: dict[str, tuple[str, ...]] = {}
    for separator in SEPARATORS:
        parts = {name: tuple(p.strip() for p in name.split(separator)) for name in labels}
        uses = Counter(part for whole in parts.values() for part in set(whole))
        for name, whole in parts.items():
            if len(whole) > 1 and all(part and uses[part] > 1 for part in whole):
                found.setdefault(name, whole)
    return found


def _sets(rows: pd.DataFrame) -> list[tuple[str, ...] | None]:
    """The labels of each row; None where it lacks them."""
    return [read_labels(value) if isinstance(value, str) else None for value in rows["label"]]


def _names(frame: pd.DataFrame, index: Sequence[int] | None = None) -> Counter[str]:
    """The labels of some rows (none: of all), and in how many of them each is."""
    rows = frame if index is None else frame.loc[list(index)]
    return Counter(name for names in _sets(rows) for name in names or ())


def _known_check(allowed: Sequence[str]) -> Check:
    """Every label of every row is one of `allowed`."""

    def told(frame: pd.DataFrame, failed: Sequence[int]) -> str:
        unknown = {n: rows for n, rows in _names(frame, failed).items() if n not in allowed}
        said = [
            f"{name!r} ({rows:,} rows{_meant(name, allowed)})" for name, rows in unknown.items()
        ]
        return f"{len(failed):,} of {len(frame):,} rows" + (f": {few(said)}" if said else "")

    one = "|".join(re.escape(json.dumps(name, ensure_ascii=False)) for name in allowed)
    return Check(
        name="label_set",
        column="label",
        expectation="ExpectColumnValuesToMatchRegex",
        arguments={"column": "label", "regex": rf"^\[(?:(?:{one})(?:,(?:{one}))*)?\]$"},
        limit=few(allowed),
        next_step="mend the rows, or add the label to checks.labels or data.rename_labels",
        told=told,
    )


def _meant(name: str, allowed: Sequence[str]) -> str:
    """What an unknown label may have been meant for."""
    for separator in SEPARATORS:
        parts = [part.strip() for part in name.split(separator)]
        if len(parts) > 1 and set(parts) <= set(allowed):
            return f"; several with {separator!r} between? set data.label_separator"
    close = get_close_matches(name, allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _joined_check() -> Check:
    """No label is several others with another separator between."""

    def told(frame: pd.DataFrame, failed: Sequence[int]) -> str:
        joined = joined_labels(_names(frame))
        said = (f"{name!r} looks like {few(map(repr, parts))}" for name, parts in joined.items())
        return f"{len(failed):,} of {len(frame):,} rows" + (f": {few(said, 3)}" if joined else "")

    return Check(
        name="label_separator",
        column="label",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": "is_joined", "value_set": [False]},
        limit="no label is made of others",
        next_step="set data.label_separator, or list the labels in checks.labels if they are single ones",
        told=told,
    )


def _several_check() -> Check:
    """Some row has no label, or several: else the rows are for another task."""

    def told(frame: pd.DataFrame, failed: Sequence[int]) -> str:
        sizes = Counter(min(len(names), 2) for names in _sets(frame) if names is not None)
        return (
            f"{sizes[0]:,} rows without a label, {sizes[1]:,} with one, {sizes[2]:,} with several"
        )

    return Check(
        name="several_labels",
        column="label",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": "is_several", "value_set": [True]},
        limit="some row has no label, or more than one",
        next_step="is data.label_separator what stands between labels? if each row has one label, "
        "use task: classification",
        told=told,
    )
