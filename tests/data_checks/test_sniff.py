"""`refit init`: what a file seems to be, on real files, and a recipe that loads."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import yaml

from data_checks.config import DataConfig
from data_checks.first_recipe import write_recipe_text
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from data_checks.sniff import Sniffed, num_words, sniff
from flows.recipe import load_recipe
from tests.conftest import shared_data

MANY = [("good and long enough", "yes"), ("bad, and just as long", "no")] * 30


def recipe_reads(path: Path, sniffed: Sniffed, folder: Path) -> int:
    """Rows that the written recipe reads from the file."""
    written = folder / "recipe.yaml"
    written.write_text(write_recipe_text(path, sniffed, "first-try"), "utf-8")
    recipe = load_recipe(written)
    assert recipe.data.source == str(path)
    assert set(recipe.checks.labels) <= set(sniffed.num_by_label)
    return sum(1 for _ in read_rows(path, recipe.data, name="x", split=None))


@pytest.mark.parametrize(
    ("name", "expected", "num_rows", "num_labels"),
    [
        ("sst2_sentences/train.tsv", {"columns": ("text", "label"), "format": "tsv"}, 6920, 2),
        ("sst2_phrases/dev.tsv", {"text": "sentence", "columns": ()}, 6735, 2),
        ("banking77/test.csv", {"label": "category", "format": "csv"}, 3080, 77),
        (
            "trec/TREC.train.all",
            {"encoding": "latin-1", "delimiter": " ", "columns": ("label", "text")},
            5452,
            6,
        ),
        ("amazon_counterfactual/EN_train.tsv", {"label": "is_counterfactual"}, 4018, 2),
        ("adv_cad_imdb/orig/train.tsv", {"text": "Text", "label": "Sentiment"}, 1707, 2),
    ],
)
def test_real_files_are_understood(
    tmp_path: Path, name: str, expected: dict[str, object], num_rows: int, num_labels: int
) -> None:
    path = shared_data(name.split("/")[0]) / name.partition("/")[2]
    sniffed = sniff(path)
    assert {key: getattr(sniffed, key) for key in expected} == expected
    assert (sniffed.num_rows, len(sniffed.num_by_label)) == (num_rows, num_labels)
    assert recipe_reads(path, sniffed, tmp_path) == num_rows


def test_jsonl_and_parquet_are_understood(tmp_path: Path) -> None:
    records = [{"id": i, "review": text, "stars": stars, "lang": "en" if i % 2 else "zh"}
               for i, (text, stars) in enumerate(MANY)]  # fmt: skip
    lines, table = tmp_path / "a.jsonl", tmp_path / "b.parquet"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), table)
    for path in (lines, table):
        sniffed = sniff(path)
        assert (sniffed.text, sniffed.attributes) == ("review", ("lang",))
        assert sniffed.label == "stars"
        assert sniffed.num_by_label == {"yes": 30, "no": 30}
        assert recipe_reads(path, sniffed, tmp_path) == 60


def test_semicolons_and_a_strange_ending_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "export.dat"
    path.write_text("label;text\n" + "".join(f'{b};"{a}"\n' for a, b in MANY), "utf-8-sig")
    sniffed = sniff(path)
    assert (sniffed.format, sniffed.delimiter, sniffed.columns) == ("csv", ";", ())
    assert recipe_reads(path, sniffed, tmp_path) == 60


def test_numbers_and_truth_values_stay_strings_in_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"{a!r},{'no' if b == 'no' else '0'}\n" for a, b in MANY).replace(", ", " "))  # fmt: skip
    recipe = yaml.safe_load(write_recipe_text(path, sniff(path), "yes"))
    assert recipe["name"] == "yes"
    assert recipe["checks"]["labels"] == ["0", "no"]
    DataConfig.model_validate(recipe["data"])


def test_a_first_row_whose_label_comes_again_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("Lovely\tpos\n" + "It broke at once\tneg\nIt still works\tpos\n" * 20)
    sniffed = sniff(path)
    assert (sniffed.columns, sniffed.num_rows) == (("text", "label"), 41)


def test_a_column_with_a_labels_name_wins_over_fewer_values(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{'en' if i % 2 else 'zh'},a text of words {i},{'abc'[i % 3]}" for i in range(60)]
    path.write_text("\n".join(["lang,text,category", *rows]))
    assert (sniff(path).label, sniff(path).attributes) == ("category", ("lang",))


def test_doubts_are_written_as_warnings(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"a café {i}\tonly\n" for i in range(30)), "cp1252")
    sniffed = sniff(path)
    assert sniffed.encoding == "latin-1"
    assert "not utf-8 (line 2, byte offset 16: byte 0xe9" in sniffed.warnings[0]
    assert "only 1 label in 30 rows" in sniffed.warnings[1]
    assert "# Look at this: only 1 label" in write_recipe_text(path, sniffed, "x")
    path.write_text("text\tlabel\n" + "“so”\tx\n“la”\ty\n" * 20, "cp1252")
    assert sniff(path).encoding == "cp1252"


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for data, problem in [
        ("", "has no rows"),
        ("one\nlonely\ncolumn\n", "no table of two columns"),
    ]:
        path = tmp_path / "a.csv"
        path.write_text(data)
        with pytest.raises(ParseError, match=problem):
            sniff(path)
    with pytest.raises(ParseError, match="is a folder"):
        sniff(tmp_path)


def test_chinese_characters_count_as_words() -> None:
    assert num_words("It isn't 很好 at all") == 6
