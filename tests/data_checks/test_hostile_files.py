"""Files made to harm: archive bombs, endless lines, parquet files that lie about themselves."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_checks import text_files
from data_checks.config import DataConfig
from data_checks.parallel import pair_of, read_pairs
from data_checks.parse import MIN_SUSPECT, ParseError, read_rows
from data_checks.text_files import MAX_FIELD_CHARS

NUM_ROWS = 1000


def read(path: Path, **values: str) -> list[tuple[str | None, str | None]]:
    config = DataConfig(source=str(path), **values)  # type: ignore[arg-type]
    return [(row.text, row.label) for row in read_rows(path, config, name=path.name, split=None)]


def pack(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    ending: str, tmp_path: Path
) -> None:
    """Sixty kilobytes, packed; a file of ten megabytes would unpack to ten gigabytes."""
    path = pack(tmp_path / f"a{ending}.gz", b"x" * (MAX_FIELD_CHARS + 2))
    with pytest.raises(ParseError, match=rf"a\{ending}\.gz: a line is longer than 67,108,864"):
        read(path, **({"label": ""} if ending == ".txt" else {}))


def test_a_document_without_end_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.txt.gz", b"x" * 2**20 + b"\n" + (b"y" * 2**20 + b"\n") * 64)
    with pytest.raises(ParseError, match="begins on line 1 is longer than 67,108,864 characters"):
        read(path, label="")


def test_an_endless_line_of_a_pair_is_refused(tmp_path: Path) -> None:
    for language in ("en", "de"):
        pack(tmp_path / f"a.{language}.gz", b"x" * (MAX_FIELD_CHARS + 2))
    uri = f"{tmp_path}/a.{{en,de}}.gz"
    paths = pair_of(uri)
    assert paths is not None
    with pytest.raises(ParseError, match=r"a\.en\.gz: a line is longer"):
        list(read_pairs(paths, DataConfig(source=uri), name=uri, split=None))


def test_an_archive_bomb_is_refused_and_dense_text_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "FREE_BYTES", 2**20)
    bomb = pack(tmp_path / "a.csv.gz", b"text,label\n" + b"a,b\n" * 2**20)
    with pytest.raises(
        ParseError, match=r"a\.csv\.gz: its [\d,]+ bytes unpack to over [\d,]+, 200"
    ):
        read(bomb)
    dense = b"".join(b"the thing number %d is fine,b\n" % i for i in range(100_000))
    assert len(read(pack(tmp_path / "b.csv.gz", b"text,label\n" + dense))) == 100_000


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A thousand rows in one row group, unpacked so that its footer alone holds that number."""
    path = tmp_path / "a.parquet"
    texts = [f"text {i}" for i in range(NUM_ROWS)]
    table = pa.table({"text": texts, "label": ["a", "b"] * (NUM_ROWS // 2)})
    pq.write_table(table, path, compression="none", write_statistics=False)
    return path


def test_a_parquet_file_that_lies_about_its_rows_is_never_read_as_other_rows(
    parquet: Path,
) -> None:
    honest, content, num_refused = read(parquet), parquet.read_bytes(), 0
    lies = list(forged(content))
    assert len(lies) >= 8, "the footer does not say its rows where it should"
    for lie in lies:
        parquet.write_bytes(lie)
        try:
            assert read(parquet) == honest
        except ParseError:
            num_refused += 1
    assert num_refused >= 6


def test_a_parquet_file_of_more_rows_than_bytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["x"] * (2 * MIN_SUSPECT), "label": ["b"] * (2 * MIN_SUSPECT)})
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 20_000
    with pytest.raises(ParseError, match=r"it says 2,000,000 rows in [\d,]+ bytes"):
        read(path)


def test_a_parquet_column_that_unpacks_to_a_thousandfold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["x" * 2**20 + str(i) for i in range(16)], "label": ["b"] * 16})
    pq.write_table(table, path, compression="zstd")
    with pytest.raises(ParseError, match=r"'text' unpacks to [\d,]+ bytes, over 200 times as much"):
        read(path)


def forged(content: bytes) -> Iterator[bytes]:
    """The file with one place of its footer saying 900 or 1,100 rows instead of 1,000."""
    (size,) = struct.unpack("<I", content[-8:-4])
    begin, said = len(content) - 8 - size, varint(NUM_ROWS)
    at = content.find(said, begin)
    while at != -1:
        for number in (900, 1100):
            yield content[:at] + varint(number) + content[at + len(said) :]
        at = content.find(said, at + 1)


def varint(number: int) -> bytes:
    """Thrift's compact form of a number, zigzag, in two bytes."""
    return bytes([2 * number & 0x7F | 0x80, 2 * number >> 7])
