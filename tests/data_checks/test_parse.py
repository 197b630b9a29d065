"""Files become rows, and bad files one clear error."""

import codecs
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from data_checks.config import DataConfig
from data_checks.parse import MAX_FIELD_CHARS, read_rows
from data_checks.problems import ParseError
from data_checks.rows import Row
from data_checks.sniff import sniff
from tests.conftest import shared_data


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows(path: Path, **settings: object) -> list[Row]:
    config = DataConfig.model_validate({"source": str(path), **settings})
    return list(read_rows(path, config, name=path.name, split=None))


def cells(path: Path, **settings: object) -> list[tuple[str | None, str | None]]:
    return [(row.text, row.label) for row in rows(path, **settings)]


def test_csv_keeps_quoted_newlines_and_counts_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\r\n"one\r\ntwo, ""three""",x\r\n\r\nlast,y\r\n')
    assert rows(path) == [
        Row('one\r\ntwo, "three"', "x", None, "a.csv", 1, 2),
        Row("last", "y", None, "a.csv", 2, 5),
    ]


def test_tsv_takes_a_quote_as_a_character(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"open\tx\nit\'s "so"\ty\n')
    assert cells(path) == [('"open', "x"), ('it\'s "so"', "y")]
    carriage = write(tmp_path, "c.tsv", "text\tlabel\r\na\rb\tx\r\n")
    assert cells(carriage) == [("a\rb", "x")]
    quoted = write(tmp_path, "b.tsv", 'text\tlabel\n"a\tb"\tx\n')
    assert cells(quoted, quoting="standard") == [("a\tb", "x")]


def test_columns_give_the_rest_of_the_line_to_the_last(tmp_path: Path) -> None:
    path = write(tmp_path, "a.all", "5 How far is it ?\n0 What is an atom ?\n")
    given = {"format": "csv", "delimiter": " ", "columns": ("label", "text")}
    assert cells(path, **given) == [("How far is it ?", "5"), ("What is an atom ?", "0")]
    comma = write(tmp_path, "b.csv", 'x,"one, two",three\n')
    assert cells(comma, columns=("label", "text")) == [("one, two,three", "x")]


def test_attributes_labels_and_split_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text,label,lang\n1,a,0,en\n2,b,1,\n3,c,9,de\n4,d,,de\n")
    config = DataConfig(
        source="x", attributes=("lang", "id"), rename_labels={"0": "neg", "1": "pos"}
    )
    found = list(read_rows(path, config, name="n", split="test"))
    assert [row.label for row in found] == ["neg", "pos", "9", None]
    assert found[1].attributes == (("lang", None), ("id", "2"))
    assert {row.split for row in found} == {"test"}


def test_white_space_around_a_label_makes_no_other_label(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na,pos\nb,pos \nc,\u00a0pos\nd,  \ne,neg\n")
    assert [row.label for row in rows(path)] == ["pos", "pos", "pos", None, "neg"]
    named = rows(path, rename_labels={"pos": "good ", "neg": " "})
    assert [row.label for row in named] == ["good", "good", "good", None, None]
    spaced = rows(path, rename_labels={"pos ": "other"})
    assert [row.label for row in spaced] == ["pos", "other", "pos", None, "neg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "gb18030"])
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    text = "很好" if encoding == "gb18030" else "Crème brûlée"
    path = write(tmp_path, "a.csv", f"text,label\n{text},x\n".encode(encoding))
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    assert cells(path, encoding=name) == [(text, "x")]


def test_wrong_encoding_names_line_offset_byte_and_setting(tmp_path: Path) -> None:
    head = "text,label\n" + ("grün " * 40 + ",x\n") * 6000  # behind the first megabyte
    path = write(tmp_path, "a.csv", head.encode() + "é,x\n".encode("latin-1") * 2)
    place = rf"line 6002, byte offset {len(head.encode())}: byte 0xe9"
    with pytest.raises(ParseError, match=rf"a\.csv: not utf-8: {place} .*line 6003.*data\.enc"):
        rows(path)


def test_wrong_encoding_is_found_at_the_seam_of_two_pieces(tmp_path: Path) -> None:
    head = b"text,label\n"
    data = head + b"a" * (2**20 - len(head) - 1) + b"\xc3" + b"(,x\n"  # cut inside a character
    with pytest.raises(ParseError, match=rf"line 2, byte offset {2**20 - 1}: byte 0xc3"):
        rows(write(tmp_path, "a.csv", data))
    with pytest.raises(ParseError, match=r"byte offset 14: byte 0xe4 \(unexpected end of data\)"):
        rows(write(tmp_path, "b.csv", head + b"x,y\xe4"))


def test_utf16_without_its_setting_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", codecs.BOM_UTF16_LE + "text,label\na,b\n".encode("utf-16-le"))
    with pytest.raises(ParseError, match=r"byte offset 0: byte 0xff.*utf-16"):
        rows(path)
    with pytest.raises(ParseError, match=r"data\.encoding='klingon' is unknown"):
        rows(path, encoding="klingon")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_missing_column_lists_those_seen_and_a_close_name(tmp_path: Path, ending: str) -> None:
    text = "Text,lable\na,b\n" if ending == "csv" else '{"Text": "a", "lable": "b"}\n'
    path = write(tmp_path, f"a.{ending}", text)
    with pytest.raises(ParseError, match=r"(?s)2 problems.*'text' is missing.*'Text', 'lable'.*Did you mean 'lable'"):  # fmt: skip
        rows(path)


def test_ragged_rows_are_gathered(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na,b\nc\nd,e\nf,g,h\n")
    with pytest.raises(ParseError, match=r"(?s)2 problems:.*line 3: 1 fields instead of 2.*line 5: 3 fields"):  # fmt: skip
        rows(path)
    many = write(tmp_path, "b.csv", "text,label\n" + "c\n" * 50)
    with pytest.raises(ParseError, match=r"10 problems; perhaps there are more") as caught:
        rows(many)
    assert str(caught.value).count("\n") == 10


def test_an_open_quote_names_the_line_where_it_began(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\na,b\n"open,c\nd,e\n')
    with pytest.raises(ParseError, match=r"begins on line 3 .*data\.quoting: none"):
        rows(path)


def test_a_field_of_ten_megabytes_is_read_and_an_endless_one_refused(tmp_path: Path) -> None:
    long = "ab " * 3_500_000
    path = write(tmp_path, "a.csv", f"text,label\n{long},x\n")
    assert cells(path) == [(long, "x")]
    endless = write(
        tmp_path, "b.csv", 'text,label\n"' + ("x" * 999 + "\n") * (MAX_FIELD_CHARS // 1000 + 2)
    )
    with pytest.raises(ParseError, match=r"begins on line 2 .*field larger than field limit"):
        rows(endless)


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv", ""), ("a.csv", "text,label\n"), ("a.jsonl", "\n"), ("a.tsv", "\n")]
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, data: str) -> None:
    with pytest.raises(ParseError, match=r"no rows in \d+ bytes"):
        rows(write(tmp_path, name, data))


def test_an_unknown_ending_asks_for_the_format(tmp_path: Path) -> None:
    path = write(tmp_path, "a.xlsx", "text,label\na,b\n")
    with pytest.raises(ParseError, match=r"'\.xlsx' is none of \.csv, .*set data\.format"):
        rows(path)
    assert cells(path, format="csv") == [("a", "b")]


def test_nul_and_surrogates_are_refused_by_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na\0b,x\n")
    with pytest.raises(ParseError, match="line 2, row 1, column 'text': a NUL character"):
        rows(path)
    half = write(tmp_path, "a.jsonl", '{"text": "\\ud83d", "label": "x"}\n')
    with pytest.raises(ParseError, match="half of a surrogate pair"):
        rows(half)


def test_jsonl_values_become_strings(tmp_path: Path) -> None:
    values: list[object] = [1, 1.0, True, None, float("nan"), "x", ""]
    lines = [json.dumps({"text": "t", "label": value}) for value in values]
    path = write(tmp_path, "a.jsonl", "\n".join([*lines, '{"text": "no label"}']))
    labels = [label for _, label in cells(path)]
    assert labels == ["1", "1.0", "true", None, None, "x", None, None]


def test_jsonl_problems_are_gathered(tmp_path: Path) -> None:
    bad = [
        '{"text": "a", "label": "b"}',
        "[1]",
        "{oops",
        '{"text": ["a"], "label": 1}',
        "[" * 99_999,
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(bad))
    with pytest.raises(ParseError, match=r"(?s)4 problems.*line 2: a list.*line 3: not JSON.*line 4, row 4, column 'text': a list.*line 5"):  # fmt: skip
        rows(path)


def test_parquet_streams_typed_columns(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "unused": [b"x"] * 3,
            "label": pyarrow.array([1.0, float("nan"), None]),
            "text": pyarrow.array(["a", "b", "c"]).dictionary_encode(),
            "price": [Decimal("1.50"), None, Decimal("2.00")],
        }
    )
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    found = rows(path, attributes=("price",))
    assert [row.label for row in found] == ["1.0", None, None]
    assert found[0] == Row("a", "1.0", None, "a.parquet", 1, 0, (("price", "1.50"),))
    with pytest.raises(ParseError, match="column 'unused': a bytes instead of a text"):
        rows(path, text="unused")
    with pytest.raises(ParseError, match=r"'lab' is missing; .*Did you mean 'label'"):
        rows(path, label="lab")


def test_a_file_that_only_claims_to_be_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", "text,label\na,b\n")
    with pytest.raises(ParseError, match="not readable as Parquet"):
        rows(path)


def test_parquet_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"text {i}" for i in range(5000)], "label": ["a", "b"] * 2500})
    pyarrow.parquet.write_table(table, path, compression="snappy", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 4 + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    with pytest.raises(
        ParseError, match=r"^a\.parquet: not readable as Parquet \(.*write it again"
    ):
        rows(path)
    with pytest.raises(ParseError, match="not readable as Parquet"):
        sniff(path)


def test_gzip_is_transparent_and_damage_is_said(tmp_path: Path) -> None:
    data = gzip.compress("text,label\ngrün,b\n".encode() * 2000)
    assert cells(write(tmp_path, "a.csv.gz", data))[0] == ("grün", "b")
    with pytest.raises(ParseError, match="gzip stream is damaged"):
        rows(write(tmp_path, "b.csv.gz", data[:-20]))
    with pytest.raises(ParseError, match="gzip stream is damaged"):
        rows(write(tmp_path, "c.csv.gz", "text,label\na,b\n"))
    latin = gzip.compress("text,label\né,b\n".encode("latin-1"))
    with pytest.raises(ParseError, match="byte offset 11: byte 0xe9"):
        rows(write(tmp_path, "d.csv.gz", latin))


def test_real_files_give_their_published_number_of_rows() -> None:
    sst2 = shared_data("sst2_sentences") / "train.tsv"
    assert len(rows(sst2, columns=("text", "label"))) == 6920
    assert len(rows(shared_data("sst2_phrases") / "test.tsv", text="sentence")) == 872
    bank = rows(shared_data("banking77") / "train.csv", label="category")
    assert (len(bank), len({row.label for row in bank})) == (10_003, 77)
    trec = {"format": "csv", "delimiter": " ", "columns": ("label", "text")}
    found = rows(shared_data("trec") / "TREC.train.all", encoding="latin-1", **trec)
    assert (len(found), len({row.label for row in found})) == (5452, 6)
    with pytest.raises(ParseError, match=r"line 66, byte offset 3173: byte 0xf0.*latin-1"):
        rows(shared_data("trec") / "TREC.train.all", **trec)
