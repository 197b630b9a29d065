"""Rows for translation: read from every form, checked, cleaned, and split by their source."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from data_checks.checks import CheckOutcome, check_snapshot
from data_checks.config import ChecksConfig, DataConfig, SplitConfig
from data_checks.languages import FIRST_CHARS, is_foreign, share_in
from data_checks.parallel import pair_of, read_pairs
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from data_checks.rows import Row
from data_checks.sample_phrases import COLUMNS, PhraseOptions, generate
from records.text import normalise
from tests.conftest import shared_data

EN_DE = DataConfig(
    source="x.csv", text="source", label="target", source_language="en", target_language="de"
)
SMALL = ChecksConfig(min_rows=1)


def rows_of(num: int = 300) -> list[tuple[str | None, str | None]]:
    return [(row["source"], row["target"]) for row in generate(PhraseOptions(num=num))]


def check(
    pairs: list[tuple[str | None, str | None]],
    folder: Path,
    *,
    data: DataConfig = EN_DE,
    checks: ChecksConfig = SMALL,
    given: str | None = None,
) -> CheckOutcome:
    rows = [Row(a, b, given, "x.csv", i, i) for i, (a, b) in enumerate(pairs, start=1)]  # type: ignore[arg-type]
    frame = pd.DataFrame([row._asdict() for row in rows]).drop(columns="attributes")
    frame.to_parquet(folder / "rows.parquet", index=False)
    return check_snapshot(
        folder / "rows.parquet", snapshot_digest="5" * 64, data=data, checks=checks,
        split=SplitConfig(), docs_dir=None, task="translation",
    )  # fmt: skip


def failed(outcome: CheckOutcome) -> dict[str, str]:
    results = outcome.report.results
    return {r.name: r.observed for r in results if r.blocking and not r.passed}


def test_good_pairs_pass_and_every_split_has_rows(tmp_path: Path) -> None:
    outcome = check(rows_of(), tmp_path)
    assert not failed(outcome)
    assert outcome.report.num_kept == 300
    assert set(outcome.kept["split"]) == {"train", "validation", "test"}


def test_what_cannot_be_a_translation_goes_to_the_quarantine_with_its_reason(
    tmp_path: Path,
) -> None:
    good = rows_of()
    bad = [
        ("The dog sleeps.", None), ("The dog eats.", " "), (None, "Der Hund bellt."),
        ("The dog runs home.", "The  dog runs HOME."), ("The dog barks.", "Der Hund " * 60),
        good[0],
    ]  # fmt: skip
    outcome = check([*good, *bad], tmp_path, checks=SMALL.model_copy(update={"max_null_share": 1}))
    assert outcome.report.dropped == {
        "missing_label": 2, "empty_text": 1, "copy_of_source": 1, "length_ratio": 1, "duplicate": 1,
    }  # fmt: skip
    odd = outcome.quarantine.set_index("reason")["detail"]
    assert odd["length_ratio"] == "14 against 540 characters"
    assert "2 rows dropped: they have no target" in outcome.report.warnings


def test_several_targets_of_one_source_stay_together_and_are_no_conflict(tmp_path: Path) -> None:
    good = rows_of(200)
    other = [(f"  {source.upper()}", f"{target} Ja.") for source, target in good if source]
    outcome = check([*good, *other], tmp_path)
    assert outcome.report.num_kept == 400
    by_group = outcome.kept.groupby("group")["split"].nunique()
    assert len(by_group) == 200
    assert (by_group == 1).all()
    assert any("200 sources have several targets" in w for w in outcome.report.warnings)


@pytest.mark.parametrize(
    ("change", "check_name"),
    [
        (lambda a, b: (b, a), "source_language"),
        (lambda a, b: (a, "这个孩子在花园里看书。"), "target_language"),
        (lambda a, b: (a, a), "copied_targets"),
        (lambda a, b: (a, None), "nulls:target"),
    ],
)
def test_a_wrong_pair_of_columns_refuses(change: object, check_name: str, tmp_path: Path) -> None:
    outcome = check([change(a, b) for a, b in rows_of()], tmp_path)  # type: ignore[operator]
    assert check_name in failed(outcome)


def test_rows_of_a_given_test_are_kept_whatever_they_are(tmp_path: Path) -> None:
    rows = [("The dog barks.", "Der Hund " * 60), ("The dog runs home.", "The dog runs home.")]
    data = DataConfig(train="a.csv", test="b.csv", text="source", label="target")
    outcome = check(rows, tmp_path, data=data, given="test")
    assert outcome.report.num_kept == 2


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Der Hund ist in dem Garten und schläft.", "de", False),
        ("The dog is in the garden and it sleeps.", "de", True),
        ("Der Hund ist in dem Garten und schläft.", "zh", True),
        ("狗在花园里睡觉。", "zh", False), ("犬が庭で寝ている。", "zh", True),
        ("狗在花园里睡觉。", "en", True), ("Собака спит в саду.", "en", True),
        ("Собака спит в саду.", "ru", False), ("Anna", "de", False), ("42", "zh", False),
        ("Hund", "pl", False),
    ],
)  # fmt: skip
def test_foreign_texts_are_told_and_doubt_is_silent(
    text: str, language: str, expected: bool
) -> None:
    assert is_foreign(text, language) is expected


def test_the_share_of_a_script_counts_texts_by_most_of_their_letters() -> None:
    latin, chinese = "The dog sleeps.", "狗在花园里睡觉，名叫Rex。"
    assert share_in("Latin", [latin] * 3 + [chinese]) == 0.75
    assert share_in("Han", [latin, chinese]) == 0.5
    assert share_in("Latin", ["犬がにわで寝ているABCDE"]) == 0, "two scripts, together the most"
    assert share_in("Latin", [latin, "பூனை தூங்குகிறது"]) == 0.5, "a script that is not in the list"
    assert share_in("Latin", ["42", "犬", latin]) == 1, "texts of hardly a letter do not count"
    assert share_in("Latin", []) == 0
    assert share_in("Latin", [latin + "狗" * FIRST_CHARS]) == 0
    assert share_in("Latin", ["a" * FIRST_CHARS + "狗" * 999]) == 1, "told by its beginning"


# -- forms


def write_lines(path: Path, *lines: str) -> Path:
    content = "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def read(uri: str, **options: object) -> list[Row]:
    config = DataConfig.model_validate({"source": uri, **options})
    paths = pair_of(uri)
    assert paths is not None
    return list(read_pairs(paths, config, name=uri, split=None))


def test_parallel_files_are_read_line_by_line(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.en.gz", "one", "", "three")
    write_lines(tmp_path / "a.de.gz", "eins", "zwei", " drei ")
    found = read(f"{tmp_path}/a.{{en,de}}.gz")
    assert [(r.text, r.label, r.line) for r in found] == [
        ("one", "eins", 1), (None, "zwei", 2), ("three", "drei", 3),
    ]  # fmt: skip


def test_parallel_files_of_other_lengths_refuse(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.en", "one", "two", "three")
    write_lines(tmp_path / "a.de", "eins", "zwei")
    with pytest.raises(ParseError, match=r"a\.de ends after 2 lines and a\.en does not"):
        read(f"{tmp_path}/a.{{en,de}}")
    with pytest.raises(ParseError, match="no columns topic; use a csv"):
        read(f"{tmp_path}/a.{{en,de}}", attributes=("topic",))
    with pytest.raises(ParseError, match=r"a\.fr: no such file"):
        pair_of(f"{tmp_path}/a.{{en,fr}}")
    with pytest.raises(ParseError, match="one pair of braces"):
        pair_of(f"{tmp_path}/{{a,b}}.{{en,de}}")


def test_sample_phrases_are_new_in_each_language_and_stay_as_they_are() -> None:
    rows = list(generate())
    assert len({normalise(row["source"]) for row in rows}) == len(rows) == 2000
    assert all(tuple(row) == COLUMNS for row in rows)
    for pair in ("en-de", "zh-en", "de-zh"):
        row = next(generate(PhraseOptions(pair=pair, num=1)))
        assert (row["source"], row["target"]) == tuple(FIRST[part] for part in pair.split("-"))
    swapped = list(generate(PhraseOptions(mispair=0.4)))
    assert [row["source"] for row in swapped] == [row["source"] for row in rows]
    share = sum(a["target"] != b["target"] for a, b in zip(rows, swapped, strict=True)) / 2000
    assert 0.35 < share < 0.45


FIRST = {
    "en": "Yesterday the happy doctor needed a red coat.",
    "de": "Gestern hat die fröhliche Ärztin einen roten Mantel gebraucht.",
    "zh": "昨天快乐的医生需要了一件红色的大衣。",
}


# -- real data


def test_multi30k_reads_checks_and_splits(tmp_path: Path) -> None:
    folder = shared_data("multi30k")
    uri = str(folder / "val.{en,de}.gz")
    pairs = [(r.text, r.label) for r in read(uri)]
    assert len(pairs) == 1014
    outcome = check(pairs, tmp_path, checks=ChecksConfig())
    assert not failed(outcome)
    assert outcome.report.num_kept >= 1005
    swapped = check([(b, a) for a, b in pairs], tmp_path, checks=ChecksConfig())
    assert {"source_language", "target_language"} <= set(failed(swapped))


def test_tatoeba_keeps_all_translations_of_a_sentence_in_one_split(tmp_path: Path) -> None:
    path = shared_data("tatoeba_zh_en") / "cmn.txt"
    data = DataConfig(
        source=str(path), format="tsv", columns=("source", "target", "attribution"), text="source",
        label="target", source_language="en", target_language="zh",
    )  # fmt: skip
    pairs = [(r.text, r.label) for r in read_rows(path, data, name="cmn.txt", split=None)]
    assert len(pairs) == 29_155
    outcome = check(pairs, tmp_path, data=data, checks=ChecksConfig())
    assert not failed(outcome)
    kept = outcome.kept
    assert (kept.groupby("group")["split"].nunique() == 1).all()
    several = kept.groupby("group").size()
    assert (several > 1).sum() > 1000
    assert outcome.report.num_kept > 28_500
    assert "�" not in "".join(kept["label"])
