"""Great Expectations suites as functions of the recipe, and their results as records."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.data_docs import write_data_docs
from data_checks.expectation import Check, few, rest
from data_checks.kinds import RowKind
from data_checks.labelled import Labelled
from data_checks.rows import ATTRIBUTE
from data_checks.schema import column_types, shown
from records.data import SPLITS, CheckResult, RowRef

MAX_EXAMPLES = 10
AFTER_ERROR = "mend the columns and types that fail above; if none does, report this message"


@dataclass(frozen=True)
class Checked:
    """A check's result, and the index labels of all rows that failed it."""

    result: CheckResult
    failed: tuple[int, ...]


def checks_of(
    data: DataConfig, checks: ChecksConfig, split: SplitConfig, kind: RowKind | None = None
) -> tuple[Check, ...]:
    """The suite that a recipe asks for; row count and columns first: an empty table passes the rest."""
    kind = kind or Labelled(data)
    return (
        *_table_checks(data, checks, split),
        *_null_checks(data, checks, kind),
        *kind.checks(checks),
        *_text_checks(checks),
        *_split_checks(data, split),
    )


def _table_checks(data: DataConfig, checks: ChecksConfig, split: SplitConfig) -> tuple[Check, ...]:
    types = column_types(data, split)
    size = Check(
        name="row_count",
        column="",
        expectation="ExpectTableRowCountToBeBetween",
        arguments={"min_value": checks.min_rows},
        limit=f"at least {checks.min_rows} rows",
        next_step="add data, or lower checks.min_rows",
    )
    columns = Check(
        name="columns",
        column="",
        expectation="ExpectTableColumnsToMatchSet",
        arguments={"column_set": sorted(types), "exact_match": False},
        limit=", ".join(types),
        next_step="name the missing ones in data.text, data.label or data.attributes; ingest again",
    )
    typed = (
        Check(
            name=f"type:{column}",
            column=column,
            expectation="ExpectColumnValuesToBeOfType",
            arguments={"column": column, "type_": kind},
            limit=kind,
            next_step="ingest the data again; a snapshot has this type",
        )
        for column, kind in types.items()
    )
    return (size, columns, *typed)


def _null_checks(data: DataConfig, checks: ChecksConfig, kind: RowKind) -> tuple[Check, ...]:
    filled = tuple(
        Check(
            name=f"nulls:{name}",
            column=column,
            expectation="ExpectColumnValuesToNotBeNull",
            arguments={"column": column, "mostly": rest(checks.max_null_share)},
            limit=f"at most {checks.max_null_share:.1%} of rows without {name}",
            next_step=f"fill them in, check data.{column}, or raise checks.max_null_share",
        )
        for column, name in kind.names.items()
    )
    judged = Check(
        name="test_complete",
        column="label",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": "can_judge", "value_set": [True]},
        limit=f"every row of a given test has {' and '.join(kind.names.values())}",
        next_step="mend the test file: its rows judge, and are never dropped",
    )
    return (*filled, judged) if data.test else filled


def _text_checks(checks: ChecksConfig) -> tuple[Check, ...]:
    lengths = {"min_value": checks.min_chars, "max_value": checks.max_chars}
    return (
        Check(
            name="text_length",
            column="text",
            expectation="ExpectColumnValuesToBeBetween",
            arguments={"column": "num_chars", **lengths},
            limit=f"{checks.min_chars} to {checks.max_chars} characters",
            next_step="they are dropped (kept in a given test); see checks.min_chars and max_chars",
            blocking=False,
        ),
        Check(
            name="uniqueness",
            column="text",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={
                "column": "num_earlier_copies",
                "value_set": [0],
                "mostly": rest(checks.max_duplicate_share),
            },
            limit=f"at most {checks.max_duplicate_share:.1%} repeated texts",
            next_step="remove the copies, or raise checks.max_duplicate_share",
        ),
    )


def _split_checks(data: DataConfig, split: SplitConfig) -> tuple[Check, ...]:
    found = [
        Check(
            name="split_names",
            column="split",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "split", "value_set": list(SPLITS)},
            limit=", ".join(SPLITS),
            next_step="ingest the data again",
        )
    ]
    if data.train:
        limit = "every row comes from the train, validation or test file"
        found.append(_no_nulls("splits_given", "split", limit, "ingest the data again"))
    if split.time:
        limit = "ISO 8601 in every row, e.g. 2024-05-31 or 2024-05-31T12:00:00Z"
        next_step = "mend the rows, or split by hash (leave out split.time)"
        found.append(_no_nulls("time_parses", ATTRIBUTE + split.time, limit, next_step, "time"))
    if split.group_by:
        limit = f"every row has {split.group_by}"
        next_step = "fill it in; rows without it are grouped by their text"
        grouped = _no_nulls("group_given", ATTRIBUTE + split.group_by, limit, next_step)
        found.append(replace(grouped, blocking=False))
    return tuple(found)


def _no_nulls(name: str, column: str, limit: str, next_step: str, measured: str = "") -> Check:
    return Check(
        name=name,
        column=column,
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": measured or column},
        limit=limit,
        next_step=next_step,
    )


def run_suite(
    frame: pd.DataFrame, checks: tuple[Check, ...], docs_dir: Path | None = None
) -> tuple[Checked, ...]:
    """Ask Great Expectations once for all checks; the results in the checks' order.

    A check that could not be run fails and blocks, whatever it was meant to be.

    Args:
        frame: measured rows (`data_checks.schema.measure`).
        checks: the suite, with distinct names.
        docs_dir: where `index.html`, the Data Docs page, is written; None: nowhere.
    """
    validation = _validate(frame, checks)
    by_name = {result.expectation_config.meta["check"]: result for result in validation.results}
    checked = tuple(_told(check, by_name[check.name], frame) for check in checks)
    if docs_dir is not None:
        write_data_docs(validation, docs_dir)
    return checked


def _validate(frame: pd.DataFrame, checks: tuple[Check, ...]) -> Any:
    with warnings.catch_warnings():  # it imports sre_constants, which Python 3.11 deprecates
        warnings.filterwarnings("ignore", "module 'sre_", DeprecationWarning)
        import great_expectations as gx  # 2-5 s, so not at the top
        from great_expectations import expectations as gxe
        from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("snapshot").add_dataframe_asset("rows")
    suite = gx.ExpectationSuite(
        name="refit",
        expectations=[
            getattr(gxe, check.expectation)(
                **check.arguments,
                severity="critical" if check.blocking else "warning",
                meta={"check": check.name},
            )
            for check in checks
        ],
    )
    batch = asset.add_batch_definition_whole_dataframe("whole")
    definition = gx.ValidationDefinition(name="refit", data=batch, suite=context.suites.add(suite))
    return context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": frame}, result_format={"result_format": "COMPLETE"}
    )


def _told(check: Check, validated: Any, frame: pd.DataFrame) -> Checked:
    error = raised(validated.exception_info)
    answer = validated.result
    failed = () if validated.success else tuple(answer.get("unexpected_index_list") or ())
    passed = bool(validated.success) and not error
    observed = (
        f"could not be checked: {error}" if error else _observed(check, answer, failed, frame)
    )
    result = CheckResult(
        name=check.name,
        column=check.column,
        blocking=check.blocking or bool(error),
        passed=passed,
        observed=observed,
        limit=check.limit,
        num_failed=0 if passed else max(int(answer.get("unexpected_count") or 0), 1),
        next_step="" if passed else AFTER_ERROR if error else check.next_step,
        examples=tuple(row_refs(frame, failed, check.column)),
    )
    return Checked(result, failed)


def raised(exception_info: Mapping[str, Any]) -> str:
    """The message of an exception inside Great Expectations; empty where there was none.

    Source: its answer is one flat mapping without an exception, else one mapping per failed metric.
    """
    infos = [exception_info, *exception_info.values()]
    found = [i for i in infos if isinstance(i, Mapping) and i.get("raised_exception")]
    return str(found[0].get("exception_message") or "unknown error") if found else ""


def _observed(
    check: Check, answer: Mapping[str, Any], failed: tuple[int, ...], frame: pd.DataFrame
) -> str:
    if "details" in answer:  # of the column set
        missing = answer["details"].get("mismatched", {}).get("missing")
        return f"missing: {', '.join(missing)}" if missing else "all present"
    if "unexpected_count" not in answer:
        value = answer.get("observed_value")
        return few(value) if isinstance(value, list) else _number(value)
    if check.told is not None:
        return check.told(frame, failed)
    text = f"{answer['unexpected_count']:,} of {answer['element_count']:,} rows"
    if check.column == "label":
        labels = frame.loc[list(failed), "label"].dropna().unique()
        return f"{text}: {few(map(shown, labels))}" if len(labels) else text
    return text


def row_refs(frame: pd.DataFrame, index: tuple[int, ...], column: str = "") -> list[RowRef]:
    """Where the first ten of these rows came from; none where the frame does not say."""
    if not {"file", "row", "line"} <= set(frame):
        return []
    places = frame.loc[list(index[:MAX_EXAMPLES]), ["file", "row", "line"]]
    return [
        RowRef(file=str(file), row=int(row), line=int(line), column=column)
        for file, row, line in places.itertuples(index=False)
    ]


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
