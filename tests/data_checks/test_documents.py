"""Raw text as documents: parted by blank lines or by file, in any encoding, and real."""

import gzip
from pathlib import Path

import pytest

from data_checks.checks import check_snapshot
from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from data_checks.rows import Row
from tests.conftest import shared_data


def read(path: Path, **options: object) -> list[Row]:
    config = DataConfig.model_validate({"source": str(path), "label": "", **options})
    return list(read_rows(path, config, name=path.name, split=None))


def test_blank_lines_part_documents_and_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\r\n\r\nOne\r\ntwo.\r\n \t\r\n\r\nÜber 三.".encode())
    assert [(r.text, r.line, r.label) for r in read(path)] == [
        ("One\ntwo.", 3, None), ("Über 三.", 7, None),
    ]  # fmt: skip


def test_a_file_may_be_one_document_packed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"One\n\ntwo.\n"))
    assert [r.text for r in read(path, documents="file")] == ["One\n\ntwo."]


def test_what_is_no_text_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(ParseError, match="not utf-8: line 1, byte offset 3: byte 0xe9"):
        read(path)
    path.write_text("\n \n")
    with pytest.raises(ParseError, match="no rows in 3 bytes"):
        read(path)
    path.write_text("a text")
    with pytest.raises(ParseError, match="a text file has no columns label; it serves task"):
        read(path, label="label")


def test_tiny_shakespeare_becomes_speeches_in_three_splits(tmp_path: Path) -> None:
    import pandas as pd

    path = shared_data("tinyshakespeare") / "input.txt"
    rows = read(path)
    assert len(rows) == 7222
    assert rows[0].text == ("First Citizen:\nBefore we proceed any further, hear me speak.")
    frame = pd.DataFrame([row._asdict() for row in rows]).drop(columns="attributes")
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    outcome = check_snapshot(
        tmp_path / "rows.parquet", snapshot_digest="5" * 64,
        data=DataConfig(source=str(path), label=""), checks=ChecksConfig(), split=SplitConfig(),
        docs_dir=None, task="language_modeling",
    )  # fmt: skip
    assert outcome.report.passed, [r for r in outcome.report.results if not r.passed]
    assert outcome.report.dropped == {"duplicate": 76}
    kept = outcome.kept
    assert kept["label"].isna().all()
    assert 1300 < (kept["split"] == "test").sum() < 1550
