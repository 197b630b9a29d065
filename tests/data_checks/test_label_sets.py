"""Sets of labels as rows: lists and separators, one form, and every way to write them wrongly."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from data_checks.checks import CheckOutcome, check_snapshot
from data_checks.columns import label_sets
from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.first_recipe import write_recipe_text
from data_checks.label_sets import joined_labels
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from data_checks.rows import Row
from data_checks.sample_complaints import TOPICS, ComplaintOptions, generate
from data_checks.sniff import sniff
from flows.recipe import load_recipe
from records.labels import is_label_set, read_labels, write_labels
from records.text import normalise

SETS = DataConfig(source="x.csv", label="labels", label_separator="|")
GOLDEN = "fc1faab06179498dab6bfb6baae69d9a8ddb22e29ebf2791f3eff95c7615e8c5"


def read(path: Path, **settings: object) -> list[Row]:
    config = SETS.model_copy(update=settings)
    return list(read_rows(path, config, name=path.name, split=None))


def csv(folder: Path, *cells: str) -> Path:
    path = folder / "a.csv"
    rows = "".join(f'text {i},"{cell}"\n' for i, cell in enumerate(cells))
    path.write_text(f"text,labels\n{rows}", "utf-8")
    return path


def jsonl(folder: Path, *values: object) -> Path:
    path = folder / "a.jsonl"
    lines = [json.dumps({"text": f"text {i}", "labels": v}) for i, v in enumerate(values)]
    path.write_text("\n".join(lines), "utf-8")
    return path


def check(sets: list[str | None], folder: Path, **checks: object) -> CheckOutcome:
    num = len(sets)
    columns = {"text": [f"text {i}" for i in range(num)], "label": sets, "split": [None] * num,
               "file": ["f.csv"] * num}  # fmt: skip
    frame = pd.DataFrame({name: pd.Series(v, dtype="str") for name, v in columns.items()})
    frame["row"], frame["line"] = range(1, num + 1), range(2, num + 2)
    frame.to_parquet(folder / "rows.parquet", index=False)
    settings = {"min_rows": 10, "min_per_label": 2, **checks}
    return check_snapshot(
        folder / "rows.parquet", snapshot_digest="5" * 64, data=SETS,
        checks=ChecksConfig.model_validate(settings), split=SplitConfig(test=0.3, validation=0.2),
        docs_dir=None, task="multilabel",
    )  # fmt: skip


def failures(outcome: CheckOutcome) -> dict[str, str]:
    return {r.name: r.observed for r in outcome.report.results if r.blocking and not r.passed}


def test_a_set_has_one_form_whatever_its_order() -> None:
    assert write_labels(["b", "a", "b"]) == write_labels(("a", "b")) == '["a","b"]'
    for names in ((), ("a",), ("a|b", 'say "no"', "电池")):
        assert read_labels(write_labels(names)) == tuple(sorted(names))
    for other in ("a", "[1]", '["b","a"]', '["a", "b"]', "[" * 5000, "", "{}"):
        assert not is_label_set(other)
        assert read_labels(other) == (other,)


def test_lists_and_separated_texts_give_the_same_rows(tmp_path: Path) -> None:
    expected = ['["a","b"]', '["b"]', "[]", None]
    assert [row.label for row in read(csv(tmp_path, " b | a", "b", "[]", " "))] == expected
    assert [row.label for row in read(jsonl(tmp_path, ["b", "a"], "b", [], None))] == expected
    table = tmp_path / "a.parquet"
    rows = [{"text": "t", "labels": value} for value in (["b", "a"], ["b"], [], None)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    assert [row.label for row in read(table)] == expected
    renamed = read(jsonl(tmp_path, ["x", "a"], [1, 2]), rename_labels={"x": "a", "1": "one"})
    assert [row.label for row in renamed] == ['["a"]', '["2","one"]']


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a||b", "an empty label in 'a||b'; take it out (the separator is '|', data.label_sep"),
        ("a|", "an empty label in 'a|'"),
        (["a", " "], "an empty label in ['a', ' ']"),
        ("['a', 'b']", 'is no list in JSON; write ["a", "b"], or a|b'),
        ("a|b|a", "label 'a' stands twice in 'a|b|a'; leave it in once"),
        (["a", "a "], "label 'a' stands twice in ['a', 'a ']"),
        (["a", None], "in a list of labels a null; take it out"),
        ([["a"]], "in a list of labels a list instead of a text; flatten it before"),
        ({"a": 1}, "a dict instead of a text"),
    ],
)
def test_a_wrong_set_is_told_with_its_place(value: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError) as caught:
        read(jsonl(tmp_path, ["a"], value, "b"))
    told = str(caught.value)
    assert "line 2, row 2, column 'labels': " in told
    assert said in told


def test_a_list_where_one_label_is_wanted_names_the_task(tmp_path: Path) -> None:
    with pytest.raises(
        ParseError, match=r"row 1, column 'labels': a list .* need task: multilabel"
    ):
        read(jsonl(tmp_path, ["a"]), label_separator=None)


GOOD = ['["a"]', '["a","b"]', '["b","c"]', "[]", '["c"]'] * 40


def test_good_sets_pass_and_are_counted(tmp_path: Path) -> None:
    outcome = check([*GOOD], tmp_path, labels=("a", "b", "c"))
    assert failures(outcome) == {}
    results = {r.name: r for r in outcome.report.results}
    assert results["several_labels"].observed == (
        "40 rows without a label, 80 with one, 80 with several"
    )
    assert results["splits_complete"].observed == "3 labels in each of train, validation, test"


@pytest.mark.parametrize(
    ("labels", "checks", "name", "observed"),
    [
        ([*GOOD, '["a","bb"]'], {"labels": ("a", "bb2", "b", "c")}, "label_set",
         "1 of 201 rows: 'bb' (1 rows; did you mean 'bb2'?)"),
        ([*GOOD, '["a,b"]'], {"labels": ("a", "b", "c")}, "label_set",
         "1 of 201 rows: 'a,b' (1 rows; several with ',' between? set data.label_separator)"),
        (['["a"]', '["a;b"]', '["b"]'] * 40, {}, "label_separator",
         "40 of 120 rows: 'a;b' looks like 'a', 'b'"),
        (['["a"]', '["b"]'] * 40, {}, "several_labels",
         "0 rows without a label, 80 with one, 0 with several"),
        (['["a"]', "[]"] * 40, {}, "num_labels", "1"),
        ([*GOOD, '["a","rare"]'], {}, "rows_per_label", "1 of 201 rows: [\"a\",\"rare\"]"),
        (['["a","b"]', '["a"]'] * 40, {}, "label_balance", "80 of 80 rows"),
        ([*GOOD, *[None] * 20], {"max_dropped_share": 1}, "nulls:labels", "20 of 220 rows"),
        ([*GOOD, '["b"]', '["rare"]', '["rare","b"]'], {}, "splits_complete", "lacks 1 labels: rare"),
    ],
)  # fmt: skip
def test_bad_sets_are_refused_by_name(
    labels: list[str | None], checks: dict[str, object], name: str, observed: str, tmp_path: Path
) -> None:
    outcome = check(labels, tmp_path, **checks)
    found = failures(outcome)
    assert observed in found[name], found
    result = next(r for r in outcome.report.results if r.name == name)
    assert result.next_step
    if name != "splits_complete" and name != "num_labels":
        assert result.examples[0].file == "f.csv"


def test_two_sets_for_one_text_contradict_each_other_as_two_labels_do(tmp_path: Path) -> None:
    rows = [Row(f"text {i % 100}", GOOD[i % 100], None, "f.csv", i, i) for i in range(200)]
    rows[150] = rows[150]._replace(label='["a","c"]')
    frame = pd.DataFrame([row._asdict() for row in rows]).drop(columns="attributes")
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    outcome = check_snapshot(
        tmp_path / "rows.parquet", snapshot_digest="5" * 64, data=SETS,
        checks=ChecksConfig(min_rows=10, max_dropped_share=1), split=SplitConfig(), docs_dir=None,
        task="multilabel",
    )  # fmt: skip
    assert outcome.report.dropped == {"duplicate": 99, "conflicting_labels": 2}
    assert set(outcome.quarantine["detail"][outcome.quarantine["reason"] != "duplicate"]) == {
        'labels: ["a","c"], ["a"]'
    }


def test_a_label_of_others_is_seen_and_one_with_a_comma_is_left_alone() -> None:
    assert joined_labels(["a,b", "b,c", "a,c"]).keys() == {"a,b", "b,c", "a,c"}
    assert joined_labels(["Paris, France", "Berlin, Germany", "a"]) == {}
    assert joined_labels(["a|b", "a", "b"]) == {"a|b": ("a", "b")}


def test_init_tells_lists_and_separated_labels(tmp_path: Path) -> None:
    rows = list(generate(ComplaintOptions(num=300)))
    lists, texts = tmp_path / "lists.jsonl", tmp_path / "texts.csv"
    lists.write_text("".join(json.dumps({"id": i, **row}) + "\n" for i, row in enumerate(rows)))
    lines = [f'"{r["text"]}",{";".join(map(str, r["labels"])) or "[]"}' for r in rows]
    texts.write_text("\n".join(["review,tags", *lines]), "utf-8")
    for path, column, separator in ((lists, "labels", "|"), (texts, "tags", ";")):
        sniffed = sniff(path)
        assert sniffed.task == "multilabel"
        assert set(sniffed.num_by_label) == set(TOPICS)
        recipe_file = tmp_path / "recipe.yaml"
        recipe_file.write_text(write_recipe_text(path, sniffed, "first"), "utf-8")
        recipe = load_recipe(recipe_file)
        assert (recipe.task, recipe.data.label) == ("multilabel", column)
        assert recipe.data.label_separator == separator
        assert recipe.checks.labels == tuple(sorted(TOPICS))
        assert recipe.gate.metric == "micro_f1"


def test_texts_with_commas_are_no_sets() -> None:
    texts = [f"Good, number {i}, fine" for i in range(40)]
    assert label_sets({"text": texts, "label": ["a", "b"] * 20}) is None
    assert label_sets({"text": texts, "label": ["a, b", "c"] * 20}) is None
    assert label_sets({"text": texts, "tokens": [f'["x{i}"]' for i in range(40)]}) is None


def test_the_sample_is_the_same_everywhere_and_names_each_topic_alike() -> None:
    rows = list(generate())
    digest = hashlib.sha256("\n".join(json.dumps(row) for row in rows).encode()).hexdigest()
    assert digest == GOLDEN
    assert list(generate(ComplaintOptions(num=300)))[:100] == rows[:100]
    assert len({normalise(str(row["text"])) for row in rows}) == len(rows) == 2000
    counts = Counter(name for row in rows for name in row["labels"])  # type: ignore[attr-defined]
    assert set(counts) == set(TOPICS)
    assert min(counts.values()) > 0.8 * max(counts.values())
    assert 400 < sum(not row["labels"] for row in rows) < 700
    flipped = list(generate(ComplaintOptions(mislabel=1.0)))
    assert all(
        set(a["labels"]).isdisjoint(b["labels"])  # type: ignore[call-overload]
        for a, b in zip(rows, flipped, strict=True)
    )
