"""Train, validation and test: by file, by hash or by time; and the names of rows and groups."""

from collections.abc import Callable

import pandas as pd

from data_checks.config import DataConfig, SplitConfig
from data_checks.rows import ATTRIBUTE
from records.base import sha256
from records.data import SPLITS, CheckResult, Split
from records.text import group_of, normalise

SPLIT_VERSION = 1
"""Part of every position: raising it draws a new split of everything."""


def position(key: str, salt: str) -> float:
    """Where a key falls in [0, 1): the same on every machine, whatever else is in the data."""
    digest = sha256(f"{salt}\0{SPLIT_VERSION}\0{normalise(key)}".encode("utf-8", "surrogatepass"))
    return int(digest[:13], 16) / 16**13  # 52 bits, exact in a float


def split_of(key: str, *, salt: str, test: float, validation: float) -> Split:
    """The split of a key by its position: the test's interval first, then validation's."""
    place = position(key, salt)
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def assign(cleaned: pd.DataFrame, data: DataConfig, config: SplitConfig) -> pd.DataFrame:
    """The rows with `split`, `group` and `item_id` filled in.

    A given split is respected. With train and test files and no validation file, validation is cut
    out of train. Split by hash, a row keeps its split as data grows, and rows with one key share
    it; split by time, the borders move on with the data.

    Args:
        cleaned: kept rows in the snapshot's order, with `time` where config.time is set.
        data: says which splits are given.
        config: shares, salt, and what is grouped or ordered by.
    """
    kept = cleaned.copy()
    keys = keys_of(kept, config)
    is_given = data.train is not None
    is_open = kept["split"].isna()
    if is_given and data.validation is None:
        is_open |= kept["split"] == "train"
    test_share = 0.0 if is_given else config.test
    if config.time:
        cut = split_by_time(kept.loc[is_open, "time"], test_share, config.validation)
    else:
        cut = _split_by_hash(keys[is_open], config.salt, test_share, config.validation)
    kept["split"] = kept["split"].where(~is_open, cut).astype("str")
    kept["group"] = _each(group_of, keys) if config.group_by else kept["text_key"]
    kept["item_id"] = item_ids(kept)
    return kept


def keys_of(rows: pd.DataFrame, config: SplitConfig) -> "pd.Series[str]":
    """What decides a row's split: its key (or text), or the group_by attribute where it has one."""
    own = rows["key" if "key" in rows else "text"]
    if not config.group_by:
        return own.fillna("")
    return rows[ATTRIBUTE + config.group_by].fillna(own).fillna("")


def _split_by_hash(
    keys: "pd.Series[str]", salt: str, test: float, validation: float
) -> "pd.Series[str]":
    return _each(lambda key: split_of(key, salt=salt, test=test, validation=validation), keys)


def _each(function: Callable[[str], str], keys: "pd.Series[str]") -> "pd.Series[str]":
    return pd.Series([function(key) for key in keys], keys.index, dtype="str")


def split_by_time(
    times: "pd.Series[pd.Timestamp]", test: float, validation: float
) -> "pd.Series[str]":
    """The latest share of rows is the test, the share before it validation; ties stay together.

    A tie at a border goes to the later split, so that nothing in a split is as old as what is
    before it. Rows without a time (the checks refuse them) stay in train.
    """
    latest = times.sort_values(ascending=False).dropna()
    splits = pd.Series("train", times.index, dtype="str")
    borders: tuple[tuple[Split, float], ...] = (("validation", test + validation), ("test", test))
    for name, share in borders:
        num_rows = round(share * len(latest))
        if num_rows:
            splits = splits.mask(times >= latest.iloc[num_rows - 1], name)
    return splits


def item_ids(rows: pd.DataFrame) -> "pd.Series[str]":
    """sha256 of text NUL label NUL occurrence (1 for the first), 16 hex digits: stays as data grows."""
    texts, labels = rows["text"].fillna(""), rows["label"].fillna("")
    occurrence = texts.groupby([texts, labels]).cumcount() + 1
    ids = [
        sha256(f"{text}\0{label}\0{k}".encode("utf-8", "surrogatepass"))[:16]
        for text, label, k in zip(texts, labels, occurrence, strict=True)
    ]
    return pd.Series(ids, rows.index, dtype="str")


def check_filled(rows: pd.DataFrame) -> CheckResult:
    """Whether each split has rows at all; blocks."""
    empty = [name for name in SPLITS if not (rows["split"] == name).any()]
    counts = ", ".join(f"{name} {int((rows['split'] == name).sum()):,}" for name in SPLITS)
    return CheckResult(
        name="splits_complete",
        column="split",
        blocking=True,
        passed=not empty,
        observed=f"{', '.join(empty)} empty" if empty else counts,
        limit="every split has rows",
        num_failed=len(empty),
        next_step="add rows, or raise split.test or split.validation" if empty else "",
    )


def check_splits(rows: pd.DataFrame, labels: tuple[str, ...]) -> CheckResult:
    """Whether each split has rows of each label; blocks.

    Args:
        rows: with split and label.
        labels: those of the recipe, beside the ones seen.
    """
    seen = {name: set(rows.loc[rows["split"] == name, "label"].dropna()) for name in SPLITS}
    wanted = sorted(set(labels).union(*seen.values()))
    problems = []
    for name in SPLITS:
        missing = [label for label in wanted if label not in seen[name]]
        if not seen[name]:
            problems.append(f"{name} is empty")
        elif missing:
            more = " ..." if len(missing) > 5 else ""
            problems.append(f"{name} lacks {len(missing)} labels: {', '.join(missing[:5])}{more}")
    return CheckResult(
        name="splits_complete",
        column="label",
        blocking=True,
        passed=not problems,
        observed="; ".join(problems) or f"{len(wanted)} labels in each of {', '.join(SPLITS)}",
        limit="every split has rows of every label",
        num_failed=len(problems),
        next_step="add rows, raise split.test or split.validation, or merge rare labels"
        if problems
        else "",
    )
