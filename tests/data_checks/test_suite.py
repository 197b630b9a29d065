"""The suites as functions of the recipe, run by the real Great Expectations."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.schema import measure, shown
from data_checks.suite import Check, Checked, checks_of, run_suite
from records.data import CheckResult

SOURCE = DataConfig(source="reviews.csv")


def rows(num: int = 20, **columns: "pd.Series") -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "text": pd.Series([f"text {i}" for i in range(num)], dtype="str"),
            "label": pd.Series(["neg", "pos"] * (num // 2), dtype="str"),
            "split": pd.Series([None] * num, dtype="str"),
            "file": pd.Series(["reviews.csv"] * num, dtype="str"),
            "row": pd.Series(range(1, num + 1), dtype="int64"),
            "line": pd.Series(range(2, num + 2), dtype="int64"),
        }
    )
    return frame.assign(**columns)


def run(
    frame: pd.DataFrame,
    checks: ChecksConfig | None = None,
    *,
    data: DataConfig = SOURCE,
    split: SplitConfig | None = None,
    docs_dir: Path | None = None,
) -> dict[str, Checked]:
    checks = checks or ChecksConfig(min_rows=10, min_per_label=5)
    split = split or SplitConfig()
    suite = checks_of(data, checks, split)
    return {c.result.name: c for c in run_suite(measure(frame, split), suite, docs_dir)}


def failures(checked: dict[str, Checked]) -> set[str]:
    return {name for name, one in checked.items() if not one.result.passed}


def result(checked: dict[str, Checked], name: str) -> CheckResult:
    return checked[name].result


def test_suite_passes_every_check_on_good_rows() -> None:
    checked = run(rows())
    assert failures(checked) == set()
    assert result(checked, "row_count").observed == "20"
    assert result(checked, "columns").observed == "all present"


def test_suite_begins_with_row_count_and_columns() -> None:
    names = [check.name for check in checks_of(SOURCE, ChecksConfig(), SplitConfig())]
    assert names[:2] == ["row_count", "columns"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("data", "checks", "split", "added"),
    [
        (SOURCE, ChecksConfig(labels=("a", "b")), SplitConfig(), {"label_set", "labels_present"}),
        (SOURCE.model_copy(update={"rename_labels": {"0": "a"}}), ChecksConfig(), SplitConfig(), {"label_set"}),
        (DataConfig(train="a", test="b"), ChecksConfig(), SplitConfig(), {"test_complete", "splits_given"}),
        (SOURCE, ChecksConfig(), SplitConfig(time="day"), {"time_parses", "type:attribute.day"}),
        (SOURCE, ChecksConfig(), SplitConfig(group_by="user"), {"group_given", "type:attribute.user"}),
    ],
)  # fmt: skip
def test_suite_grows_with_the_recipe(
    data: DataConfig, checks: ChecksConfig, split: SplitConfig, added: set[str]
) -> None:
    plain = {check.name for check in checks_of(SOURCE, ChecksConfig(), SplitConfig())}
    assert {check.name for check in checks_of(data, checks, split)} - plain == added


def test_empty_frame_fails_the_row_count() -> None:
    assert "row_count" in failures(run(rows(0)))


def test_missing_column_is_named_and_what_needs_it_blocks() -> None:
    checked = run(rows().drop(columns="label"))
    assert result(checked, "columns").observed == "missing: label"
    assert result(checked, "num_labels").observed.startswith("could not be checked: ")
    assert result(checked, "text_length").passed


def test_exception_blocks_even_under_a_warning() -> None:
    check = Check(
        name="gone",
        column="gone",
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": "gone"},
        limit="",
        next_step="",
        blocking=False,
    )
    (checked,) = run_suite(rows(), (check,))
    assert checked.result.blocking
    assert not checked.result.passed
    assert "does not exist" in checked.result.observed


def test_other_type_is_refused() -> None:
    assert "type:label" in failures(run(rows(label=pd.Series([0, 1] * 10))))


def test_nulls_pass_at_their_share_and_fail_beyond() -> None:
    texts = pd.Series([None] * 14 + [f"text {i}" for i in range(6)], dtype="str")
    at_limit = ChecksConfig(min_rows=10, min_per_label=5, max_null_share=0.7)
    assert failures(run(rows(text=texts), at_limit)) == set()
    below = at_limit.model_copy(update={"max_null_share": 0.69})
    assert failures(run(rows(text=texts), below)) == {"nulls:text"}


def test_blank_text_and_label_count_as_missing() -> None:
    blank = pd.Series([" \n\t　"] * 2 + ["neg", "pos"] * 9, dtype="str")
    checked = run(rows(text=rows()["text"].mask(rows().index < 2, "  "), label=blank))
    assert failures(checked) == {"nulls:text", "nulls:label"}
    assert checked["nulls:label"].failed == (0, 1)


def test_label_outside_the_set_blocks_with_its_rows() -> None:
    checked = run(rows(label=pd.Series(["neg", "pos"] * 9 + ["5", "neg"], dtype="str")),
                  ChecksConfig(min_rows=10, min_per_label=1, labels=("neg", "pos")))  # fmt: skip
    failed = result(checked, "label_set")
    assert failures(checked) == {"label_set"}
    assert failed.blocking
    assert failed.observed == "1 of 20 rows: 5"
    assert [(e.file, e.row, e.line) for e in failed.examples] == [("reviews.csv", 19, 20)]


def test_unmapped_label_is_outside_the_renamed_set() -> None:
    data = SOURCE.model_copy(update={"rename_labels": {"0": "neg", "1": "good"}})
    checked = run(rows(), data=data)
    assert failures(checked) == {"label_set"}
    assert result(checked, "label_set").observed == "10 of 20 rows: pos"


def test_label_that_never_occurs_is_missed() -> None:
    checks = ChecksConfig(min_rows=10, min_per_label=5, labels=("neg", "pos", "mixed"))
    assert failures(run(rows(), checks)) == {"labels_present"}


def test_examples_are_at_most_ten_of_all_failed_rows() -> None:
    checked = run(rows(label=pd.Series(["neg"] * 20, dtype="str")))
    assert failures(checked) == {"num_labels", "label_balance"}
    balance = checked["label_balance"]
    assert (len(balance.result.examples), balance.result.num_failed, len(balance.failed)) == (10, 20, 20)  # fmt: skip


def test_rare_label_is_named() -> None:
    labels = pd.Series(["neg", "pos"] * 9 + ["rare"] * 2, dtype="str")
    checked = run(rows(label=labels))
    assert failures(checked) == {"rows_per_label"}
    assert result(checked, "rows_per_label").observed == "2 of 20 rows: rare"


def test_repeated_texts_pass_at_their_share_and_fail_beyond() -> None:
    def copies(num: int) -> pd.Series:
        return pd.Series([f"Text  {i % (20 - num)}" for i in range(20)], dtype="str")

    assert failures(run(rows(text=copies(10)))) == set()
    assert failures(run(rows(text=copies(11)))) == {"uniqueness"}


def test_text_length_warns() -> None:
    checks = ChecksConfig(min_rows=10, min_per_label=5, max_chars=6)
    length = result(run(rows(), checks), "text_length")
    assert (length.passed, length.blocking, length.num_failed) == (False, False, 10)


def test_given_test_row_without_label_blocks() -> None:
    data = DataConfig(train="train.csv", test="test.csv")
    split = pd.Series(["train"] * 10 + ["test"] * 10, dtype="str")
    labels = rows()["label"].mask(rows().index == 15)
    checks = ChecksConfig(min_rows=10, min_per_label=5, max_null_share=0.5)
    checked = run(rows(label=labels, split=split), checks, data=data)
    assert failures(checked) == {"test_complete"}
    assert checked["test_complete"].failed == (15,)


def test_unparsable_time_blocks_with_its_rows() -> None:
    times = pd.Series(["2024-05-31", "2024-05-31T12:00:00Z"] * 9 + ["31.5.2024", "soon"], dtype="str")  # fmt: skip
    checked = run(rows().assign(**{"attribute.day": times}), split=SplitConfig(time="day"))
    assert failures(checked) == {"time_parses"}
    assert checked["time_parses"].failed == (18, 19)
    assert result(checked, "time_parses").examples[0].column == "attribute.day"


def test_unknown_split_name_is_refused() -> None:
    assert failures(run(rows(split=pd.Series(["dev"] * 20, dtype="str")))) == {"split_names"}


def test_data_docs_load_and_run_nothing_and_hold_no_texts(tmp_path: Path) -> None:
    labels = pd.Series(["neg", "pos"] * 9 + ["<script>alert(1)</script>"] * 2, dtype="str")
    texts = pd.Series([f"private words {i}" for i in range(19)] + [" "], dtype="str")
    checks = ChecksConfig(min_rows=10, min_per_label=1, labels=("neg", "pos"))
    run(rows(label=labels, text=texts), checks, docs_dir=tmp_path / "docs")
    page = (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<link" not in page
    assert 'src="http' not in page
    assert "url('http" not in page
    assert "default-src 'none'" in page
    assert "private words" not in page


def test_suite_leaves_the_frame_alone() -> None:
    frame = measure(rows(), SplitConfig())
    before = frame.copy()
    run_suite(frame, checks_of(SOURCE, ChecksConfig(), SplitConfig()))
    pd.testing.assert_frame_equal(frame, before)


def test_check_is_asked_by_its_name_where_two_look_alike() -> None:
    (check,) = (
        c for c in checks_of(SOURCE, ChecksConfig(), SplitConfig()) if c.name == "row_count"
    )
    few = replace(check, name="few", arguments={"min_value": 1})
    many = replace(check, name="many", arguments={"min_value": 1_000})
    assert [c.result.passed for c in run_suite(rows(), (many, few))] == [False, True]


def test_shown_shortens_and_escapes() -> None:
    assert shown("a\nb\x1b[31m‮") == r"a\nb\x1b[31m\u202e"
    assert shown("中文 עברית é") == "中文 עברית é"
    assert shown("x" * 10_000_000) == "x" * 80 + "… (10,000,000 characters)"
    assert shown(None) == shown(float("nan")) == "(none)"
