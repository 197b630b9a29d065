"""How data is read, checked and split: the `data`, `checks` and `split` parts of a recipe."""

from typing import Literal

from pydantic import Field, model_validator

from records.base import Record, is_empty

DATA_VERSION = 2
"""Part of every data key: raise it when the same configuration would keep or split rows otherwise."""


class DataConfig(Record):
    """Where the rows are, and how a file becomes rows."""

    source: str | None = Field(
        None,
        description="sample:NAME, a file, folder or glob, s3://bucket/key, hf://dataset@commit, "
        "hf://dataset@branch?follow=1; split by hash.",
    )
    train: str | None = Field(None, description="Given training data, instead of `source`.")
    validation: str | None = Field(
        None, description="Given validation data; else cut from `train`."
    )
    test: str | None = Field(None, description="Given test data; its rows are never dropped.")
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text"] = Field(
        "auto",
        description="auto: by the file's ending; name.{en,de}.gz is a pair of line-parallel files; "
        "text: documents for language modelling.",
    )
    documents: Literal["blank_line", "file"] = Field(
        "blank_line", description="What parts the documents of a text file, or: the file is one."
    )
    encoding: str = Field("utf-8", description="Of text files, by Python's name, e.g. latin-1.")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Between columns; default , or TAB by format."
    )
    quoting: Literal["auto", "standard", "none"] = Field(
        "auto", description="auto: standard for csv, none for tsv and for a space as delimiter."
    )
    columns: tuple[str, ...] = Field(
        (),
        description="Column names of a file without a header; the last takes the rest of the line.",
    )
    text: str = Field(
        "text",
        description="Column with the text; translation: the source (default `source`); chat: the "
        "question (default `prompt`).",
    )
    label: str = Field(
        "label",
        description="Column with the label; translation: the target (default `target`); chat: the "
        "answer (default `answer`); multilabel: the labels (default `labels`); language_modeling: empty.",
    )
    label_separator: str | None = Field(
        None,
        min_length=1,
        max_length=10,
        exclude_if=is_empty,
        description="Multilabel: between the labels of a row (default `|`), where the column holds "
        "texts and no lists; `[]` is a row without any, an empty cell one that lacks them.",
    )
    messages: str | None = Field(
        None,
        description="Chat: column with all turns, a list of {role, content}, instead of text and label.",
    )
    source_language: str | None = Field(
        None,
        pattern=r"^[a-z]{2,3}(-[A-Za-z]+)?$",
        description="Of the source (ISO 639-1, e.g. en); then checked.",
    )
    target_language: str | None = Field(
        None,
        pattern=r"^[a-z]{2,3}(-[A-Za-z]+)?$",
        description="Of the target; then checked, and it says how BLEU splits words.",
    )
    attributes: tuple[str, ...] = Field(
        (), description="More columns to keep, for slices and grouping."
    )
    rename_labels: dict[str, str] = Field({}, description="Value in the file: name of the label.")

    @model_validator(mode="after")
    def _has_one_origin(self) -> "DataConfig":
        if self.source and (self.train or self.validation or self.test):
            raise ValueError("give either source, or train with test, not both")
        if not self.source and not (self.train and self.test):
            raise ValueError("give source, or both train and test")
        return self


class ChecksConfig(Record):
    """What the data must look like before anything is trained on it."""

    min_rows: int = Field(200, ge=1, description="Fewest rows in the snapshot.")
    labels: tuple[str, ...] = Field((), description="The allowed labels; empty: those seen.")
    min_labels: int = Field(2, ge=2, description="Fewest different labels.")
    min_per_label: int = Field(10, ge=1, description="Fewest rows of each label.")
    max_label_share: float = Field(0.95, gt=0, le=1, description="Largest share of one label.")
    min_chars: int = Field(1, ge=1, description="Shorter texts (after stripping) are dropped.")
    max_chars: int = Field(100_000, ge=1, description="Longer texts are dropped.")
    max_null_share: float = Field(
        0.01, ge=0, le=1, description="Largest share of rows without text or label."
    )
    max_duplicate_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of repeated texts."
    )
    max_dropped_share: float = Field(0.1, ge=0, le=1, description="More dropped than this refuses.")
    max_copied_share: float = Field(
        0.1,
        ge=0,
        le=1,
        exclude_if=lambda share: share == 0.1,
        description="Translation: largest share of targets that are copies of their source.",
    )
    max_length_factor: float = Field(
        3.0,
        gt=1,
        exclude_if=lambda factor: factor == 3.0,
        description="Translation: how far the ratio of lengths may be from the usual one, as a factor.",
    )
    max_foreign_share: float = Field(
        0.2,
        ge=0,
        le=1,
        exclude_if=lambda share: share == 0.2,
        description="Translation: largest share of rows that look like another language than said.",
    )


class SplitConfig(Record):
    """Which rows are learned from and which ones judge."""

    salt: str = Field("1", description="Change it to draw a new test generation.")
    test: float = Field(
        0.2, gt=0, lt=1, description="Share of groups, where no test file is given."
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="Share of groups, where no file is given."
    )
    group_by: str | None = Field(None, description="An attribute whose equal values share a split.")
    time: str | None = Field(
        None, description="An attribute (ISO 8601); the latest share of rows is the test split."
    )

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "SplitConfig":
        if self.test + self.validation >= 0.9:
            raise ValueError(
                f"test + validation = {self.test + self.validation:g} leaves under 10 % for training"
            )
        if self.group_by and self.time:
            raise ValueError("group_by and time cannot be combined")
        return self
