"""A snapshot in, a report, kept rows and a quarantine out: on hostile and on real data."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_checks.checks import EXAMPLE_COLUMNS, KEPT_COLUMNS, CheckOutcome, check_snapshot
from data_checks.clean import clean
from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.parse import read_rows
from data_checks.schema import measure
from data_checks.split import assign
from records.data import Split
from tests.conftest import shared_data

SOURCE = DataConfig(source="reviews.csv")
GIVEN = DataConfig(train="train.csv", test="test.csv")
GIVEN_ALL = DataConfig(train="train.csv", validation="dev.csv", test="test.csv")
CHECKS = ChecksConfig(min_rows=10, min_per_label=2, max_dropped_share=1)

Values = list[str | None]


def snapshot(
    texts: Values, labels: Values, splits: Values | None = None, **attributes: Values
) -> pd.DataFrame:
    num = len(texts)
    strings = {"text": texts, "label": labels, "split": splits or [None] * num}
    strings |= {f"attribute.{name}": values for name, values in attributes.items()}
    frame = pd.DataFrame({name: pd.Series(v, dtype="str") for name, v in strings.items()})
    frame["file"] = pd.Series(["f.csv"] * num, dtype="str")
    frame["row"], frame["line"] = range(1, num + 1), range(2, num + 2)
    return frame.astype({"row": "int64", "line": "int64"})


def good(num: int = 200) -> pd.DataFrame:
    return snapshot([f"text {i}" for i in range(num)], ["neg", "pos"] * (num // 2))


def check(
    frame: pd.DataFrame,
    folder: Path,
    *,
    data: DataConfig = SOURCE,
    checks: ChecksConfig = CHECKS,
    split: SplitConfig | None = None,
) -> CheckOutcome:
    path = folder / "snapshot.parquet"
    frame.to_parquet(path, index=False)
    outcome = check_snapshot(
        path,
        snapshot_digest="0" * 64,
        data=data,
        checks=checks,
        split=split or SplitConfig(test=0.3, validation=0.2),
        docs_dir=None,
    )
    report = outcome.report
    assert report.num_in == len(frame) == report.num_kept + sum(report.dropped.values())
    assert (len(outcome.kept), len(outcome.quarantine)) == (report.num_kept, sum(report.dropped.values()))  # fmt: skip
    assert tuple(outcome.kept.columns[: len(KEPT_COLUMNS)]) == KEPT_COLUMNS
    assert tuple(outcome.examples.columns) == EXAMPLE_COLUMNS
    return outcome


def blocking(outcome: CheckOutcome) -> set[str]:
    return {r.name for r in outcome.report.results if r.blocking and not r.passed}


def reasons(outcome: CheckOutcome) -> list[tuple[int, str, str]]:
    table = outcome.quarantine[["row", "reason", "detail"]]
    return [(int(row), reason, detail) for row, reason, detail in table.itertuples(index=False)]


def test_good_snapshot_passes_whole(tmp_path: Path) -> None:
    outcome = check(good(), tmp_path)
    assert outcome.report.passed
    assert outcome.report.dropped == {}
    assert outcome.report.warnings == ()
    assert outcome.examples.empty
    assert set(outcome.kept["split"]) == {"train", "validation", "test"}
    assert outcome.kept["item_id"].is_unique


def test_attributes_travel_with_the_kept_rows(tmp_path: Path) -> None:
    frame = good().assign(**{"attribute.product": "lamp"})
    kept = check(frame, tmp_path, data=SOURCE.model_copy(update={"attributes": ("product",)})).kept
    assert (kept["attribute.product"] == "lamp").all()


def test_each_dropped_row_has_its_one_reason(tmp_path: Path) -> None:
    bad = snapshot(
        [None, " \n　", "no label", "no label either", "ab", "x" * 51, "Twice  Said", "twice said",
         "both ways", "BOTH ways", "both ways", "abc", " " + "y" * 50 + "\n"],
        ["neg", "pos", None, " ", "neg", "pos", "neg", "neg", "neg", "pos", "pos", "neg", "pos"],
    )  # fmt: skip
    checks = CHECKS.model_copy(update={"min_chars": 3, "max_chars": 50, "max_null_share": 0.5})
    outcome = check(pd.concat([bad, good()]), tmp_path, checks=checks)
    assert reasons(outcome) == [
        (1, "empty_text", ""),
        (2, "empty_text", ""),
        (3, "missing_label", ""),
        (4, "missing_label", ""),
        (5, "too_short", "2 characters"),
        (6, "too_long", "51 characters"),
        (8, "duplicate", "of f.csv row 7"),
        (9, "conflicting_labels", "labels: neg, pos"),
        (10, "conflicting_labels", "labels: neg, pos"),
        (11, "conflicting_labels", "labels: neg, pos"),
    ]
    assert outcome.report.warnings[0] == "3 rows dropped: 1 texts carry two labels"
    assert outcome.quarantine["text"][1] == " \n　"
    assert outcome.report.passed


def given_splits(**texts: list[tuple[str, str]]) -> pd.DataFrame:
    """Good rows in train, validation and test, then these (text, label) rows of each split."""
    base = good(350)
    base["split"] = pd.Series((["train"] * 5 + ["validation", "test"]) * 50, dtype="str")
    more = [(t, label, name) for name, rows in texts.items() for t, label in rows]
    columns = [list(column) for column in zip(*more, strict=True)]
    return pd.concat([base, snapshot(*columns)], ignore_index=True)


def test_copies_of_a_given_test_are_dropped_before_any_other_reason(tmp_path: Path) -> None:
    frame = given_splits(
        train=[("In  the test", "neg"), ("in the test", "pos"), ("in the test", "pos")],
        validation=[("IN THE TEST", "neg")],
        test=[("in the test", "neg")],
    )
    outcome = check(frame, tmp_path, data=GIVEN_ALL)
    assert outcome.report.dropped == {"copy_of_test": 4}
    assert set(outcome.quarantine["detail"]) == {"of f.csv row 5"}
    assert (outcome.kept["text"] == "in the test").sum() == 1


def test_training_copies_of_given_validation_are_dropped(tmp_path: Path) -> None:
    frame = given_splits(
        train=[("shared", "neg"), ("Shared", "neg")], validation=[("shared", "neg")]
    )
    outcome = check(frame, tmp_path, data=GIVEN_ALL)
    assert outcome.report.dropped == {"copy_of_validation": 2}
    assert list(outcome.kept.loc[outcome.kept["text"] == "shared", "split"]) == ["validation"]


def test_two_labels_across_train_and_validation_drop_both(tmp_path: Path) -> None:
    frame = given_splits(train=[("shared", "neg")], validation=[("shared", "pos")])
    assert check(frame, tmp_path, data=GIVEN_ALL).report.dropped == {"conflicting_labels": 2}


def test_rows_of_a_given_test_are_never_dropped(tmp_path: Path) -> None:
    hostile = [("both", "neg"), ("both", "pos"), ("same", "neg"), ("same", "neg"), ("x" * 99, "pos")]  # fmt: skip
    checks = CHECKS.model_copy(update={"max_chars": 50})
    outcome = check(given_splits(test=hostile), tmp_path, data=GIVEN_ALL, checks=checks)
    assert outcome.report.dropped == {}
    assert outcome.report.passed
    assert outcome.kept["item_id"].is_unique
    assert [warning.split()[0] for warning in outcome.report.warnings] == ["1", "2", "1"]


def test_given_test_row_without_text_stays_and_refuses(tmp_path: Path) -> None:
    checks = CHECKS.model_copy(update={"max_null_share": 0.5})
    outcome = check(given_splits(test=[(" ", "neg")]), tmp_path, data=GIVEN_ALL, checks=checks)
    assert outcome.report.dropped == {}
    assert blocking(outcome) == {"test_complete"}


def test_too_much_dropped_refuses_beyond_the_share(tmp_path: Path) -> None:
    frame = pd.concat([good(), snapshot(["text 0"] * 50, ["neg"] * 50)])
    at_limit = CHECKS.model_copy(update={"max_dropped_share": 0.2})
    assert check(frame, tmp_path, checks=at_limit).report.passed
    outcome = check(frame, tmp_path, checks=CHECKS.model_copy(update={"max_dropped_share": 0.19}))
    assert blocking(outcome) == {"dropped_share"}
    assert len(outcome.examples) == 10
    (refused,) = (r for r in outcome.report.results if r.name == "dropped_share")
    assert refused.observed == "50 of 250 rows (20.0%) duplicate 50"


def test_empty_snapshot_refuses(tmp_path: Path) -> None:
    outcome = check(good(0), tmp_path)
    assert {"row_count", "splits_complete"} <= blocking(outcome)
    assert not outcome.report.passed


def test_three_rows_refuse(tmp_path: Path) -> None:
    outcome = check(good().head(3), tmp_path)
    assert {"row_count", "splits_complete"} <= blocking(outcome)


def test_one_class_refuses(tmp_path: Path) -> None:
    outcome = check(good().assign(label="pos"), tmp_path)
    assert blocking(outcome) == {"num_labels", "label_balance"}


def test_nan_labels_refuse_beyond_their_share(tmp_path: Path) -> None:
    frame = good()
    frame["label"] = frame["label"].mask(frame["row"] <= 10)
    outcome = check(frame, tmp_path)
    assert blocking(outcome) == {"nulls:label"}
    assert outcome.report.dropped == {"missing_label": 10}
    assert list(outcome.examples["value"]) == ["(none)"] * 10


def test_column_of_nothing_but_nulls_refuses(tmp_path: Path) -> None:
    frame = good()
    frame["label"] = None
    outcome = check(frame, tmp_path)
    assert {"nulls:label", "num_labels", "splits_complete"} <= blocking(outcome)
    assert outcome.report.dropped == {"missing_label": 200}


def test_mislabelled_rows_refuse_and_are_shown(tmp_path: Path) -> None:
    frame = good()
    frame.loc[frame["row"] <= 12, "label"] = "negg"
    outcome = check(frame, tmp_path, checks=CHECKS.model_copy(update={"labels": ("neg", "pos")}))
    assert "label_set" in blocking(outcome)
    shown = outcome.examples[outcome.examples["check"] == "label_set"]
    assert list(shown["row"]) == list(range(1, 11))
    assert set(shown["value"]) == {"negg"}
    assert shown["text"].iloc[0] == "text 0"


def test_labels_that_look_alike_are_said(tmp_path: Path) -> None:
    frame = snapshot([f"text {i}" for i in range(200)], ["neg", "Pos", "pos", "ｐｏｓ"] * 50)
    (warning,) = check(frame, tmp_path).report.warnings
    assert warning.startswith("3 labels look alike: 'Pos', 'pos', 'ｐｏｓ'")
    assert "data.rename_labels" in warning


@pytest.mark.parametrize("column", ["text", "label", "split", "file", "row", "attribute.user"])
def test_missing_column_refuses_and_keeps_nothing(tmp_path: Path, column: str) -> None:
    frame = good().assign(**{"attribute.user": "u"}).drop(columns=column)
    outcome = check(frame, tmp_path, split=SplitConfig(group_by="user"))
    assert "columns" in blocking(outcome)
    assert outcome.report.num_kept == 0
    assert outcome.report.dropped == {"not_checked": 200}
    (missing,) = (r.observed for r in outcome.report.results if r.name == "columns")
    assert missing == f"missing: {column}"


def test_column_of_another_type_refuses(tmp_path: Path) -> None:
    outcome = check(good().assign(label=range(200)), tmp_path)
    assert "type:label" in blocking(outcome)
    assert outcome.report.num_kept == 0


def test_unparsable_time_refuses(tmp_path: Path) -> None:
    frame = good().assign(**{"attribute.day": "2024-01-01"})
    frame.loc[0, "attribute.day"] = "yesterday"
    outcome = check(frame, tmp_path, split=SplitConfig(time="day"))
    assert "time_parses" in blocking(outcome)
    assert list(outcome.examples.loc[outcome.examples["check"] == "time_parses", "value"]) == ["yesterday"]  # fmt: skip


def test_any_script_and_newlines_survive_unchanged(tmp_path: Path) -> None:
    texts: Values = ["很好用的台灯", "שלום עולם", "مرحبا\nبالعالم", "a\r\nb\tc", "👩‍👩‍👧 ok", "‮evil", "e\u0301", "Ⅳ ﬁn"]  # fmt: skip
    frame = pd.concat([snapshot(texts, ["neg", "pos"] * 4), good()], ignore_index=True)
    outcome = check(frame, tmp_path)
    assert outcome.report.passed
    assert list(outcome.kept["text"].head(8)) == texts


def test_same_text_in_another_form_is_a_copy(tmp_path: Path) -> None:
    texts: Values = ["é ﬁne", "E\u0301  FINE", "strasse", "STRASSE"]
    outcome = check(pd.concat([snapshot(texts, ["neg"] * 4), good()]), tmp_path)
    assert outcome.report.dropped == {"duplicate": 2}


def test_ten_megabyte_text_is_dropped_and_shown_short(tmp_path: Path) -> None:
    frame = pd.concat([snapshot(["long " * 2_000_000], ["neg"]), good()], ignore_index=True)
    outcome = check(frame, tmp_path)
    assert outcome.report.passed
    assert outcome.report.dropped == {"too_long": 1}
    assert outcome.quarantine["detail"][0] == "9999999 characters"
    assert len(outcome.examples["value"][0]) < 120


def test_split_that_misses_a_label_refuses(tmp_path: Path) -> None:
    frame = pd.concat([good(), snapshot(["rare a", "rare b"], ["rare", "rare"])])
    outcome = check(frame, tmp_path)
    assert blocking(outcome) == {"splits_complete"}


def test_data_docs_are_written_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.parquet"
    good().to_parquet(path)
    check_snapshot(
        path, snapshot_digest="", data=SOURCE, checks=CHECKS, split=SplitConfig(),
        docs_dir=tmp_path / "docs",
    )  # fmt: skip
    assert "Expect" in (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", " a ", "b", "c", "long text", "", None]),
        st.sampled_from(["neg", "pos", " ", None]),
        st.sampled_from(["train", "validation", "test", None]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS)
def test_clean_loses_no_row_no_test_row_and_leaves_no_leak(
    rows: list[tuple[str | None, str | None, str | None]],
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    frame = measure(snapshot(*columns), SplitConfig())
    cleaned = clean(frame, ChecksConfig(max_chars=5))
    kept, quarantine = cleaned.kept, cleaned.quarantine
    assert sorted([*kept.index, *quarantine.index]) == list(frame.index)
    assert sum(cleaned.dropped.values()) == len(quarantine)
    assert quarantine["reason"].notna().all()
    assert "test" not in set(quarantine["split"])
    learnt = kept[kept["split"] != "test"]
    assert learnt["text_key"].is_unique
    assert not set(learnt["text_key"]) & set(kept.loc[kept["split"] == "test", "text_key"].dropna())


@settings(max_examples=60, deadline=None)
@given(old=ROWS, new=ROWS)
def test_rows_kept_twice_keep_their_split_as_a_source_grows(
    old: list[tuple[str | None, str | None, str | None]],
    new: list[tuple[str | None, str | None, str | None]],
) -> None:
    def split_of_items(rows: list[tuple[str | None, str | None, str | None]]) -> dict[str, str]:
        texts, labels = [row[0] for row in rows], [row[1] for row in rows]
        frame = measure(snapshot(texts, labels), SplitConfig())
        kept = assign(clean(frame, CHECKS).kept, SOURCE, SplitConfig(test=0.4, validation=0.3))
        return dict(zip(kept["item_id"], kept["split"], strict=True))

    before, after = split_of_items(old), split_of_items(old + new)
    assert all(before[item] == after[item] for item in before.keys() & after.keys())


REAL: dict[str, tuple[dict[Split, str], dict[str, object], dict[str, int]]] = {
    "sst2_sentences": (
        {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"},
        {"format": "tsv", "columns": ("text", "label"), "rename_labels": {"0": "neg", "1": "pos"}},
        {"num_in": 9_613, "copy_of_test": 3},
    ),
    "banking77": (
        {"train": "train.csv", "test": "test.csv"},
        {"label": "category"},
        {"num_in": 13_083, "copy_of_test": 7},
    ),
    "trec": (
        {"train": "TREC.train.all", "test": "TREC.test.all"},
        {"format": "csv", "columns": ("label", "text"), "delimiter": " ", "encoding": "latin-1"},
        {"num_in": 5_952, "copy_of_test": 11},
    ),
}


def real_snapshot(folder: Path, files: dict[Split, str], data: DataConfig) -> pd.DataFrame:
    parts = []
    for split, name in files.items():
        rows = list(read_rows(folder / name, data, name=name, split=split))
        part = snapshot([r.text for r in rows], [r.label for r in rows], [split] * len(rows))
        parts.append(part.assign(file=name, row=[r.row for r in rows], line=[r.line for r in rows]))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("name", REAL)
def test_real_data_passes_and_its_copies_of_the_test_are_counted(name: str, tmp_path: Path) -> None:
    folder = shared_data(name)
    files, settings_, expected = REAL[name]
    data = DataConfig.model_validate({**files, **settings_})
    frame = real_snapshot(folder, files, data)
    outcome = check(frame, tmp_path, data=data, checks=ChecksConfig(), split=SplitConfig())
    assert blocking(outcome) == set()
    assert len(frame) == expected["num_in"]
    assert outcome.report.dropped["copy_of_test"] == expected["copy_of_test"]
    copies = outcome.quarantine[outcome.quarantine["reason"] == "copy_of_test"]
    assert set(copies["split"]) == {"train"}
    num_test = (frame["split"] == "test").sum()
    assert (outcome.kept["split"] == "test").sum() == num_test
