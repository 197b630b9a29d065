"""Which rows are kept, and why each other one is in the quarantine."""

from dataclasses import dataclass

import pandas as pd

from data_checks.config import ChecksConfig
from data_checks.copies import Rule
from data_checks.kinds import RowKind
from data_checks.labelled import Labelled


@dataclass(frozen=True)
class Cleaned:
    """Kept rows, and quarantined ones with two more columns: reason and detail."""

    kept: pd.DataFrame
    quarantine: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def dropped(self) -> dict[str, int]:
        """Quarantined rows by reason."""
        counts = self.quarantine["reason"].value_counts(sort=False)
        return {str(reason): int(number) for reason, number in counts.items()}


def clean(frame: pd.DataFrame, checks: ChecksConfig, kind: RowKind | None = None) -> Cleaned:
    """Give every row that cannot be learned from its one reason, and say what was found.

    Rows of a given test (split == "test") are never dropped: what is wrong in them is said.
    Under a split by hash no row is in a test yet, so a text with two labels is dropped wherever
    it would have gone.

    Args:
        frame: measured rows (`data_checks.schema.measure`) with all columns in their types.
        checks: min_chars and max_chars, in characters after stripping.
        kind: the task's rows, whose rules come after those on length; None: labelled ones.
    """
    kind = kind or Labelled()
    reason = pd.Series(pd.NA, frame.index, dtype="str")
    is_test = frame["split"] == "test"
    for name, holds in {**_rules(checks, kind), **kind.rules(frame, checks)}.items():
        open_rows = frame[reason.isna()]
        found = holds(open_rows).reindex(frame.index, fill_value=False) & ~is_test
        reason = reason.mask(found, name)
    return _divided(frame, reason, checks, kind)


def drop_all(frame: pd.DataFrame, detail: str) -> Cleaned:
    """Every row in the quarantine as `not_checked`, where columns or types are missing."""
    return Cleaned(frame.iloc[:0], frame.assign(reason="not_checked", detail=detail), ())


def _rules(checks: ChecksConfig, kind: RowKind) -> dict[str, Rule]:
    """What holds for the rows of every task, in the order in which it is looked for."""
    label: dict[str, Rule] = {"missing_label": lambda rows: rows["label"].isna()}
    return {
        "empty_text": lambda rows: rows["text_key"].isna(),
        **(label if "label" in kind.names else {}),
        "too_short": lambda rows: rows["num_chars"] < checks.min_chars,
        "too_long": lambda rows: rows["num_chars"] > checks.max_chars,
    }


def _divided(
    frame: pd.DataFrame, reason: "pd.Series[str]", checks: ChecksConfig, kind: RowKind
) -> Cleaned:
    is_kept = reason.isna()
    kept = frame[is_kept]
    quarantine = frame[~is_kept].assign(reason=reason[~is_kept])
    quarantine = quarantine.assign(detail=_details(frame, kept, quarantine, kind))
    cleaned = Cleaned(kept, quarantine, _warnings(kept, quarantine, checks, kind))
    num_dropped = sum(cleaned.dropped.values())
    if len(frame) != len(kept) + num_dropped:
        raise AssertionError(f"{len(frame)} rows in, {len(kept)} kept + {num_dropped} dropped")
    return cleaned


def _details(
    frame: pd.DataFrame, kept: pd.DataFrame, quarantine: pd.DataFrame, kind: RowKind
) -> list[str]:
    """What a person needs to see the reason: the copy's place, the labels, the length."""
    keys = quarantine["text_key"]
    twins = kept[kept["text_key"].isin(keys)].drop_duplicates("text_key")
    places = {
        key: f"of {file} row {row}"
        for key, file, row in twins[["text_key", "file", "row"]].itertuples(index=False)
    }
    own = kind.details(frame, quarantine)
    lengths = {"too_short", "too_long"}
    table = quarantine[["reason", "text_key", "num_chars"]].itertuples()
    return [
        f"{num_chars:.0f} characters"
        if reason in lengths
        else own[index]
        if index in own
        else places.get(key, "")
        for index, reason, key, num_chars in table
    ]


def _warnings(
    kept: pd.DataFrame, quarantine: pd.DataFrame, checks: ChecksConfig, kind: RowKind
) -> tuple[str, ...]:
    test = kept[kept["split"] == "test"]
    counts = quarantine["reason"].value_counts()
    lengths_ok = test["num_chars"].between(checks.min_chars, checks.max_chars)
    found = (
        *kind.warnings(kept, quarantine),
        (counts.get("duplicate", 0), "rows dropped: the same text and label comes before them"),
        (counts.get("copy_of_test", 0), "training or validation rows dropped: their text is in the test"),
        (counts.get("copy_of_validation", 0), "training rows dropped: their text is in the validation data"),
        (int(test.duplicated("text_key").sum()), "repeated texts in the given test; they share a group"),
        (int((~lengths_ok).sum()), "texts of the given test are outside min_chars..max_chars; kept"),
    )  # fmt: skip
    return tuple(f"{number} {what}" for number, what in found if number)
