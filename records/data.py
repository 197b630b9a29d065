"""What is known about data without holding any of it: snapshot, checks, splits."""

from typing import Literal

from pydantic import Field

from records.base import Record, is_empty
from records.task import Task

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def is_default_task(task: str) -> bool:
    """For `exclude_if`: records of before there were other tasks keep their digests."""
    return task == "classification"


class SourceFile(Record):
    """One file that a snapshot was made from."""

    uri: str
    split: Split | None = None
    """Given by the recipe (data.train/validation/test); None where the split is by hash."""
    num_rows: int
    sha256: str


class SnapshotRef(Record):
    """The ingested rows, immutable, named by the sha256 of their content."""

    snapshot_digest: str
    num_rows: int
    files: tuple[SourceFile, ...]
    columns: tuple[str, ...]
    task: Task = Field("classification", exclude_if=is_default_task)
    """What the rows are for: it says how they are checked, split, learned and scored."""
    language: str | None = Field(None, exclude_if=is_empty)
    """Of the texts to be written, where the recipe says it."""
    source_language: str | None = Field(None, exclude_if=is_empty)
    """Of the texts to be read, where the recipe says it."""


class RowRef(Record):
    """Where a row came from. The row's text stays in files that can be erased."""

    file: str
    row: int
    """1-based data row in its file (a header does not count)."""
    line: int
    """1-based line on which the row begins; 0 where lines mean nothing (parquet, hf)."""
    column: str = ""


class CheckResult(Record):
    """One expectation, checked."""

    name: str
    column: str
    blocking: bool
    passed: bool
    observed: str
    limit: str
    num_failed: int
    next_step: str = ""
    examples: tuple[RowRef, ...] = ()


class CheckReport(Record):
    """All expectations on one snapshot, and where each row went: num_in == num_kept + sum(dropped)."""

    snapshot_digest: str
    checks_version: str
    num_in: int
    num_kept: int
    dropped: dict[str, int]
    """Quarantined rows by reason."""
    warnings: tuple[str, ...] = ()
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Something was checked, and nothing blocking failed."""
        return bool(self.results) and all(r.passed for r in self.results if r.blocking)


class SplitRef(Record):
    """One split of the kept rows, as Parquet in the store."""

    split: Split
    key: str
    """Folder in the store that holds `<split>.parquet`."""
    sha256: str
    num_rows: int
    num_groups: int
    num_by_label: dict[str, int]


class DataRef(Record):
    """Everything the later steps need to know of the data, by digest."""

    snapshot: SnapshotRef
    report: CheckReport
    data_key: str
    """Digest of snapshot, check and split configuration with their versions."""
    splits: tuple[SplitRef, ...]
    labels: tuple[str, ...]
    """Every label, sorted; the order of the model's outputs. None where the task has no labels."""

    @property
    def task(self) -> Task:
        """What the rows are for."""
        return self.snapshot.task

    def split(self, name: Split) -> SplitRef:
        """The split of that name; raises KeyError where it is missing."""
        for ref in self.splits:
            if ref.split == name:
                return ref
        raise KeyError(name)
