"""Rows for language modelling: documents of raw text, without an answer."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from data_checks.config import ChecksConfig, DataConfig
from data_checks.copies import Rule, copies_of_test, copies_of_validation
from data_checks.expectation import Check
from data_checks.problems import Problems
from data_checks.split import check_filled
from data_checks.text_files import MAX_FIELD_CHARS, open_text, report_bad_bytes
from records.data import CheckResult


class Documents:
    """A text, to be read as it is."""

    @property
    def names(self) -> Mapping[str, str]:
        return {"text": "text"}

    def measure(self, frame: pd.DataFrame) -> None:
        """Nothing beyond the text's own measures."""

    def checks(self, checks: ChecksConfig) -> tuple[Check, ...]:
        """None beyond those of every text."""
        return ()

    def rules(self, frame: pd.DataFrame, checks: ChecksConfig) -> dict[str, Rule]:
        """Copies go."""
        return {
            "copy_of_test": copies_of_test(frame),
            "copy_of_validation": copies_of_validation,
            "duplicate": lambda rows: rows.duplicated("text_key"),
        }

    def details(self, frame: pd.DataFrame, dropped: pd.DataFrame) -> dict[Hashable, str]:
        return {}

    def warnings(self, kept: pd.DataFrame, dropped: pd.DataFrame) -> Sequence[tuple[int, str]]:
        return ()

    def check_splits(self, rows: pd.DataFrame, checks: ChecksConfig) -> CheckResult:
        """Documents in every split."""
        return check_filled(rows)


def read_documents(
    path: Path, config: DataConfig, problems: Problems
) -> Iterator[tuple[int, list[object]]]:
    """(line on which it begins, [text]) of each document of a text file.

    Blank lines part documents, unless `data.documents` is file: then the file is one.
    """
    if config.label or config.attributes:
        wanted = ", ".join(filter(None, (config.label, *config.attributes)))
        problems.fail(
            f"a text file has no columns {wanted}; it serves task: language_modeling, others need "
            "a csv, tsv, jsonl or parquet file"
        )
    begin, lines, num_chars = 1, list[str](), 0
    with open_text(path, config.encoding, newline=None) as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip() or config.documents == "file":
                    begin = begin if lines else number
                    lines.append(line)
                    if (num_chars := num_chars + len(line)) > MAX_FIELD_CHARS:
                        problems.fail(
                            f"the document that begins on line {begin} is longer than "
                            f"{MAX_FIELD_CHARS:,} characters; part documents by blank lines"
                        )
                elif lines:
                    yield begin, ["".join(lines).strip("\n")]
                    lines, num_chars = [], 0
        except UnicodeDecodeError:
            report_bad_bytes(path, config.encoding, problems)
    if lines:
        yield begin, ["".join(lines).strip("\n")]
