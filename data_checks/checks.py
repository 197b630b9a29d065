"""The data room's one entry: a snapshot in, a report, kept rows and a quarantine out."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_checks.clean import Cleaned, clean, drop_all
from data_checks.config import DATA_VERSION, ChecksConfig, DataConfig, SplitConfig
from data_checks.kinds import row_kind
from data_checks.rows import ATTRIBUTE
from data_checks.schema import measure, read_snapshot, shown
from data_checks.split import assign
from data_checks.suite import MAX_EXAMPLES, Checked, checks_of, row_refs, run_suite
from records.data import CheckReport, CheckResult
from records.task import Task

KEPT_COLUMNS = ("text", "label", "split", "group", "text_key", "item_id", "file", "row", "line")
"""Columns of the kept rows; attributes follow as `attribute.<name>`."""
EXAMPLE_COLUMNS = ("check", "file", "row", "line", "column", "value", "text")


@dataclass(frozen=True)
class CheckOutcome:
    """What the checks found in one snapshot."""

    report: CheckReport
    kept: pd.DataFrame
    """KEPT_COLUMNS and attributes; worth using only where `report.passed`."""
    quarantine: pd.DataFrame
    """The snapshot's columns of each dropped row, its reason and its detail."""
    examples: pd.DataFrame
    """Up to ten rows of each failed check, EXAMPLE_COLUMNS; fit for a terminal."""


def check_snapshot(
    parquet: Path,
    *,
    snapshot_digest: str,
    data: DataConfig,
    checks: ChecksConfig,
    split: SplitConfig,
    docs_dir: Path | None,
    task: Task = "classification",
) -> CheckOutcome:
    """Check a snapshot, quarantine what cannot be learned from, and split the rest.

    Args:
        parquet: the snapshot, columns `data_checks.rows.ROW_COLUMNS` and `attribute.<name>`.
        snapshot_digest: its name, for the report.
        data, checks, split: these parts of the recipe.
        docs_dir: folder for the Data Docs page `index.html`; None: no page.
        task: what the rows are for.

    Returns:
        The outcome; bad data never raises, it is in `outcome.report`.

    Raises:
        pyarrow.ArrowInvalid: `parquet` is not a Parquet file.
    """
    rows = read_snapshot(parquet)
    kind = row_kind(task, data)
    frame = measure(rows, split, kind)
    suite = run_suite(frame, checks_of(data, checks, split, kind), docs_dir)
    broken = [s.result.name for s in suite if _is_structure(s.result) and not s.result.passed]
    if broken:
        cleaned, kept = _nothing_kept(frame, broken)
    else:
        cleaned = clean(frame, checks, kind)
        kept = assign(cleaned.kept, data, split)
    late = (
        _check_dropped(cleaned, len(rows), checks),
        Checked(kind.check_splits(kept, checks), ()),
    )
    report = CheckReport(
        snapshot_digest=snapshot_digest,
        checks_version=str(DATA_VERSION),
        num_in=len(rows),
        num_kept=len(kept),
        dropped=cleaned.dropped,
        warnings=cleaned.warnings,
        results=tuple(checked.result for checked in (*suite, *late)),
    )
    return CheckOutcome(
        report=report,
        kept=kept[[*KEPT_COLUMNS, *_attributes(kept)]].reset_index(drop=True),
        quarantine=_as_ingested(rows, cleaned.quarantine),
        examples=_examples((*suite, *late), rows),
    )


def _is_structure(result: CheckResult) -> bool:
    return result.name == "columns" or result.name.startswith("type:")


def _nothing_kept(frame: pd.DataFrame, broken: list[str]) -> tuple[Cleaned, pd.DataFrame]:
    cleaned = drop_all(frame, f"failed: {', '.join(broken)}")
    return cleaned, cleaned.kept.reindex(columns=[*KEPT_COLUMNS, *_attributes(frame)])


def _as_ingested(rows: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """The quarantine with the snapshot's own values: measuring made blank texts null."""
    reasons = quarantine[["reason", "detail"]]
    return rows.loc[quarantine.index].assign(**reasons).reset_index(drop=True)


def _attributes(frame: pd.DataFrame) -> list[str]:
    return [str(column) for column in frame if str(column).startswith(ATTRIBUTE)]


def _check_dropped(cleaned: Cleaned, num_in: int, checks: ChecksConfig) -> Checked:
    """A blocking check of the share of rows that went to the quarantine."""
    num_dropped = len(cleaned.quarantine)
    is_small = num_dropped <= round(checks.max_dropped_share * num_in, 9)
    index = tuple(cleaned.quarantine.index)
    share = num_dropped / max(num_in, 1)
    by_reason = ", ".join(f"{reason} {count:,}" for reason, count in cleaned.dropped.items())
    result = CheckResult(
        name="dropped_share",
        column="",
        blocking=True,
        passed=is_small,
        observed=f"{num_dropped:,} of {num_in:,} rows ({share:.1%}) {by_reason}".rstrip(),
        limit=f"at most {checks.max_dropped_share:.1%} of rows dropped",
        num_failed=0 if is_small else num_dropped,
        next_step=""
        if is_small
        else "read the quarantine; mend the rows or raise max_dropped_share",
        examples=() if is_small else tuple(row_refs(cleaned.quarantine, index)),
    )
    return Checked(result, () if is_small else index)


def _examples(checked: tuple[Checked, ...], rows: pd.DataFrame) -> pd.DataFrame:
    table = [
        _example(one.result, row)
        for one in checked
        for _, row in rows.loc[list(one.failed[:MAX_EXAMPLES])].iterrows()
    ]
    return pd.DataFrame(table, columns=list(EXAMPLE_COLUMNS))


def _example(result: CheckResult, row: "pd.Series[str]") -> tuple[object, ...]:
    place = [row.get(name, "") for name in ("file", "row", "line")]
    value = shown(row[result.column]) if result.column in row else ""
    return (result.name, *place, result.column, value, shown(row.get("text")))
