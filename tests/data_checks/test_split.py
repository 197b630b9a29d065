"""Splits: stable as data grows, never straddled by copies, complete or refused."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_checks.config import DataConfig, SplitConfig
from data_checks.schema import measure
from data_checks.split import assign, check_splits, position, split_by_time, split_of

SOURCE = DataConfig(source="reviews.csv")
GIVEN = DataConfig(train="train.csv", test="test.csv")
TEXTS = st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=30)


def frame(
    texts: list[str],
    *,
    config: SplitConfig | None = None,
    columns: Mapping[str, Sequence[str | None]] = MappingProxyType({}),
) -> pd.DataFrame:
    num = len(texts)
    values: dict[str, Sequence[str | None]] = {"text": texts, "label": ["a"] * num, "split": [None] * num}  # fmt: skip
    made = {
        name: pd.Series(list(column), dtype="str") for name, column in {**values, **columns}.items()
    }
    return measure(pd.DataFrame(made), config or SplitConfig())


def numbered(num: int) -> list[str]:
    return [f"text {i}" for i in range(num)]


def test_position_stays_what_it_was() -> None:
    """Golden: another value would move every row of every user to another split."""
    assert position("The film  was GOOD", "1") == position("the film was good", "1")
    assert position("the film was good", "1") == pytest.approx(GOLDEN_POSITION, abs=1e-15)


GOLDEN_POSITION = 0.3014483222771669


@pytest.mark.parametrize(
    ("place", "name"), [(0.0, "test"), (0.2, "validation"), (0.31, "train"), (0.999, "train")]
)
def test_split_of_puts_the_test_first(
    place: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_checks.split.position", lambda key, salt: place)
    assert split_of("any", salt="1", test=0.2, validation=0.1) == name


def test_shares_are_about_those_asked_for() -> None:
    split = assign(frame(numbered(10_000)), SOURCE, SplitConfig())["split"]
    shares = split.value_counts(normalize=True)
    # three standard errors of a share of 10,000 draws
    assert shares["test"] == pytest.approx(0.2, abs=0.012)
    assert shares["validation"] == pytest.approx(0.1, abs=0.009)


def test_larger_test_share_keeps_the_smaller_test() -> None:
    rows = frame(numbered(500))
    small = assign(rows, SOURCE, SplitConfig(test=0.1))["split"] == "test"
    large = assign(rows, SOURCE, SplitConfig(test=0.3))["split"] == "test"
    assert small.sum() < large.sum()
    assert (large | ~small).all()


def test_new_salt_draws_a_new_test() -> None:
    rows = frame(numbered(500))
    one = assign(rows, SOURCE, SplitConfig(salt="1"))["split"]
    two = assign(rows, SOURCE, SplitConfig(salt="2"))["split"]
    assert (one != two).mean() > 0.2


@settings(max_examples=60, deadline=None)
@given(old=TEXTS, new=TEXTS, salt=st.text(max_size=5))
def test_rows_keep_split_group_and_id_as_data_grows(
    old: list[str], new: list[str], salt: str
) -> None:
    config = SplitConfig(salt=salt, test=0.3, validation=0.3)
    before = assign(frame(old), SOURCE, config)
    after = assign(frame(old + new), SOURCE, config)
    columns = ["split", "group", "item_id"]
    pd.testing.assert_frame_equal(before[columns], after[columns].head(len(old)))


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_copies_of_a_text_never_straddle(texts: list[str]) -> None:
    copies = [*texts, *(f"  {text.upper().lower()}\n" for text in texts), *map(str.casefold, texts)]
    split = assign(frame(copies), SOURCE, SplitConfig(test=0.4, validation=0.3))
    assert (split.groupby("group")["split"].nunique() == 1).all()
    assert (split.groupby("text")["group"].nunique() == 1).all()


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS)
def test_item_ids_name_one_row_each(texts: list[str]) -> None:
    ids = assign(frame([*texts, *texts]), SOURCE, SplitConfig())["item_id"]
    assert ids.is_unique
    assert ids.str.fullmatch("[0-9a-f]{16}").all()


def test_group_by_keeps_equal_values_together() -> None:
    users = [f"user {i // 10}" for i in range(500)]
    config = SplitConfig(group_by="user")
    split = assign(frame(numbered(500), columns={"attribute.user": users}), SOURCE, config)
    assert (split.groupby("attribute.user")["split"].nunique() == 1).all()
    assert split["group"].nunique() == 50
    assert set(split["split"]) == {"train", "validation", "test"}


def test_row_without_a_group_is_grouped_by_its_text() -> None:
    config = SplitConfig(group_by="user")
    split = assign(
        frame(["a", "b", "a"], columns={"attribute.user": [None, None, "x"]}), SOURCE, config
    )
    plain = assign(frame(["a", "b"]), SOURCE, SplitConfig())
    assert list(split["group"].head(2)) == list(plain["group"])
    assert split["group"].nunique() == 3


def test_given_splits_are_respected() -> None:
    given_splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    data = GIVEN.model_copy(update={"validation": "dev.csv"})
    split = assign(frame(numbered(100), columns={"split": given_splits}), data, SplitConfig())
    assert list(split["split"]) == given_splits


def test_validation_is_cut_from_train_where_none_is_given() -> None:
    given_splits = ["train"] * 2_000 + ["test"] * 500
    split = assign(frame(numbered(2_500), columns={"split": given_splits}), GIVEN, SplitConfig())[
        "split"
    ]
    assert (split.tail(500) == "test").all()
    assert "test" not in set(split.head(2_000))
    assert (split == "validation").sum() == pytest.approx(200, abs=41)


def times(*values: str) -> "pd.Series[pd.Timestamp]":
    return pd.Series(pd.to_datetime(list(values), utc=True))


def test_split_by_time_takes_the_latest_as_test() -> None:
    days = [f"2024-01-{day:02d}" for day in range(10, 0, -1)]
    split = split_by_time(times(*days), 0.2, 0.1)
    assert list(split) == ["test"] * 2 + ["validation"] + ["train"] * 7


def test_split_by_time_keeps_ties_together() -> None:
    days = ["2024-01-01"] * 4 + ["2024-01-02"] * 4 + ["2024-01-03"] * 2
    split = split_by_time(times(*days), 0.3, 0.1)
    assert list(split) == ["train"] * 4 + ["test"] * 6


def test_split_by_time_leaves_rows_without_time_in_train() -> None:
    split = split_by_time(times("", "2024-01-01"), 0.6, 0.2)
    assert list(split) == ["train", "test"]


def test_time_orders_moments_not_strings() -> None:
    config = SplitConfig(time="day", test=0.4, validation=0.2)
    moments = ["2024-01-01T23:00:00-05:00", "2024-01-02T01:00:00+00:00", "2023-12-31"]  # fmt: skip
    rows = frame(numbered(3), config=config, columns={"attribute.day": moments})
    assert list(assign(rows, SOURCE, config)["split"]) == ["test", "validation", "train"]


def test_check_splits_passes_where_all_is_there() -> None:
    rows = pd.DataFrame({"split": ["train", "validation", "test"] * 2, "label": ["a"] * 3 + ["b"] * 3})  # fmt: skip
    assert check_splits(rows, ()).passed
    wanted = check_splits(rows, ("a", "b", "c"))
    assert not wanted.passed
    assert wanted.observed == "; ".join(
        f"{name} lacks 1 labels: c" for name in ("train", "validation", "test")
    )


def test_check_splits_refuses_an_empty_split_and_a_missing_label() -> None:
    rows = pd.DataFrame({"split": ["train", "train", "validation"], "label": ["a", "b", "a"]})
    refused = check_splits(rows, ())
    assert refused.blocking
    assert not refused.passed
    assert refused.observed == "validation lacks 1 labels: b; test is empty"
