"""Where rows come from: sample, files, folders, globs, a real S3 server."""

import hashlib
from pathlib import Path

import pytest

from data_checks.config import DataConfig
from data_checks.problems import ParseError
from data_checks.rows import Row
from data_checks.sample_reviews import SampleOptions, generate
from records.base import file_sha256
from tasks import sources as module
from tasks.location import LocationError
from tasks.sources import Source, open_sources, source_marks
from tasks.store import LocalStore, MissingBucket, S3Store


def write(path: Path, *words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text,label\n" + "".join(f"{word},x\n" for word in words))
    return path


def sources(folder: Path, **data: object) -> list[Source]:
    return open_sources(DataConfig.model_validate(data), cache=folder / "cache")


def read(sources: list[Source]) -> list[Row]:
    return [row for source in sources for row in source.rows()]


def test_sample_rows_carry_label_and_attributes(tmp_path: Path) -> None:
    uri = "sample:reviews?num=40"
    (source,) = sources(tmp_path, source=uri, attributes=("language", "phenomenon"))
    first = next(generate(SampleOptions(num=40)))
    rows = list(source.rows())
    attributes = (("language", first["language"]), ("phenomenon", first["phenomenon"]))
    assert rows[0] == Row(first["text"], first["label"], None, uri, 1, 0, attributes)
    assert (source.num_rows, len(source.sha256)) == (40, 64)
    (other,) = sources(tmp_path, source="sample:reviews?num=40&seed=8")
    assert len(list(other.rows())) == 40
    assert other.sha256 != source.sha256


def test_given_splits_keep_their_names(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.csv", "a", "b"), write(tmp_path / "b.csv", "c")
    found = sources(tmp_path, train=str(train), test=str(test), validation="sample:reviews?num=2")
    assert [(s.uri, s.split) for s in found] == [
        (str(train), "train"),
        ("sample:reviews?num=2", "validation"),
        (str(test), "test"),
    ]
    assert [row.split for row in read(found)] == ["train"] * 2 + ["validation"] * 2 + ["test"]
    assert found[0].num_rows == 2
    assert found[0].sha256 == file_sha256(train)


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "b.csv", "2")
    write(folder / "a" / "z.csv", "1")
    (folder / "c.jsonl").write_text('{"text": "3", "label": "x"}\n')
    (folder / "_SUCCESS").touch()
    (folder / ".hidden.csv").touch()
    assert [row.text for row in read(sources(tmp_path, source=str(folder)))] == ["1", "2", "3"]
    (folder / "notes.docx").touch()
    with pytest.raises(LocationError, match=r"'\.docx' is none of .*or name the files by a glob"):
        sources(tmp_path, source=str(folder))
    glob = sources(tmp_path, source=str(folder / "**" / "*.csv"))
    assert [row.text for row in read(glob)] == ["1", "2"]


MARKED = (".ipynb_checkpoints/a.csv", "_temporary/0/part-0.csv", "sub/_old/b.csv", "sub/.c.csv")


def test_what_tools_leave_in_folders_of_their_own_is_no_data(tmp_path: Path) -> None:
    """But the folder that is named may be called so."""
    folder = tmp_path / "_staging" / ".new"
    write(folder / "a.csv", "1")
    write(folder / "sub" / "b.csv", "2")
    for name in MARKED:
        write(folder / name, "wrong")
    for place in (folder, folder / "**" / "*.csv"):
        assert [row.text for row in read(sources(tmp_path, source=str(place)))] == ["1", "2"]
    assert list(source_marks(DataConfig(source=str(folder)))) == [
        str(folder / name) for name in ("a.csv", "sub/b.csv")
    ]
    (alone,) = sources(tmp_path, source=str(folder / MARKED[0]))
    assert [row.text for row in alone.rows()] == ["wrong"]


def test_a_folder_is_read_by_whatever_name_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "here" / "a.csv", "1")
    write(tmp_path / "here" / "_b" / "b.csv", "wrong")
    monkeypatch.chdir(tmp_path / "here")
    for place in (".", "./", "*.csv", "./**/*.csv", "../here", "../here//*.csv", "../h[e]re/*"):
        assert [row.text for row in read(sources(tmp_path, source=place))] == ["1"], place


@pytest.mark.service
@pytest.mark.parametrize("place", ["_in", "_in/", "_in/*.csv", "_in/*"])
def test_what_tools_leave_among_objects_is_no_data(
    s3_store: S3Store, tmp_path: Path, place: str
) -> None:
    for name in ("a.csv", "sub/b.csv", *MARKED):
        s3_store.upload(f"_in/{name}", write(tmp_path / "a.csv", name))
    bucket = f"s3://{s3_store.bucket}/{s3_store.prefix}"
    config = DataConfig(source=f"{bucket}/{place}")
    found = open_sources(config, cache=tmp_path / "cache", s3=s3_store.settings)
    assert [row.text for row in read(found)] == ["a.csv", "sub/b.csv"]
    assert sorted(source_marks(config, s3_store.settings)) == [source.uri for source in found]
    config = DataConfig(source=f"{bucket}/_in/{MARKED[1]}")
    (alone,) = open_sources(config, cache=tmp_path / "cache", s3=s3_store.settings)
    assert [row.text for row in alone.rows()] == [MARKED[1]]


def test_nothing_and_unknown_schemes_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LocationError, match=r"empty: no file(.|\n)*none\*: no file(.|\n)*gs://b/k: unknown scheme"):  # fmt: skip
        sources(
            tmp_path,
            train=str(tmp_path / "empty"),
            validation=str(tmp_path / "none*"),
            test="gs://b/k",
        )
    path = str(write(tmp_path / "a.csv", "a"))
    with pytest.raises(LocationError, match=r"a\.csv is given for more than one split"):
        sources(tmp_path, train=path, test=path)


def test_a_source_that_broke_off_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\na,x\n\xff,x\n")
    (source,) = sources(tmp_path, source=str(path))
    with pytest.raises(ParseError, match=r"a\.csv: not utf-8: line 3"):
        list(source.rows())
    assert source.sha256 == ""


@pytest.mark.service
@pytest.mark.parametrize("place", ["data", "data/", "data/*.csv", "data/a.csv"])
def test_objects_are_downloaded_one_at_a_time(
    s3_store: S3Store, tmp_path: Path, place: str
) -> None:
    local = write(tmp_path / "a.csv", "1", "2")
    s3_store.upload("data/a.csv", local)
    s3_store.upload("data/sub/b.csv", write(tmp_path / "b.csv", "3"))
    s3_store.upload("data/_SUCCESS", local)
    s3_store.upload("database/c.csv", local)
    config = DataConfig(source=f"{s3_store.uri}/{place}")
    found = open_sources(config, cache=tmp_path / "cache", s3=s3_store.settings)
    texts = []
    for source in found:
        for row in source.rows():
            texts.append(row.text)
            assert len([p for p in (tmp_path / "cache").rglob("*") if p.is_file()]) == 1
    assert texts == (["1", "2"] if place.endswith("a.csv") else ["1", "2", "3"])
    assert found[0].uri == f"{s3_store.uri}/data/a.csv"
    assert found[0].sha256 == hashlib.sha256(local.read_bytes()).hexdigest()
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_two_readers_of_one_object_do_not_take_it_from_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = LocalStore(tmp_path / "bucket")
    bucket.upload("data/a.csv", local := write(tmp_path / "a.csv", "1", "2"))
    monkeypatch.setattr(module, "open_store", lambda uri, s3: bucket)
    (first,), (second,) = (sources(tmp_path, source="s3://bucket/data/a.csv") for _ in "12")
    rows = first.rows()
    assert next(rows).text == "1"
    assert [row.text for row in second.rows()] == ["1", "2"]
    assert [row.text for row in rows] == ["2"]
    assert first.sha256 == second.sha256 == file_sha256(local)
    assert list((tmp_path / "cache").rglob("*.csv")) == []


@pytest.mark.service
def test_a_missing_bucket_or_key_is_said(s3_store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="nothing-here: no file is there"):
        open_sources(
            DataConfig(source=f"{s3_store.uri}/nothing-here"),
            cache=tmp_path,
            s3=s3_store.settings,
        )
    with pytest.raises(MissingBucket, match="NoSuchBucket"):
        open_sources(
            DataConfig(source="s3://no-such-bucket/a"), cache=tmp_path, s3=s3_store.settings
        )


def test_marks_of_what_lies_there_change_with_it_and_need_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("not,even a table", "utf-8")
    folder, glob, file = (
        DataConfig(source=str(tmp_path / name)) for name in ("", "*.csv", "a.csv")
    )
    before = [source_marks(config) for config in (folder, glob, file)]
    assert before[0] == before[1] == before[2] != {}
    (tmp_path / "b.csv").write_text("", "utf-8")
    after = [source_marks(config) for config in (folder, glob, file)]
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, False, True]
    pinned = DataConfig(train="sample:reviews", test=f"hf://ann/rows@{'0' * 40}")
    assert source_marks(pinned) == {"sample:reviews": "", f"hf://ann/rows@{'0' * 40}": ""}


@pytest.mark.service
def test_marks_of_objects_cover_a_key_a_prefix_and_a_glob(s3_store: S3Store) -> None:
    bucket = S3Store(s3_store.bucket, "", s3_store.settings)
    for key in ("in/a.csv", "in/b.csv", "out/c.csv"):
        bucket.write(key, b"1")
    uris = [f"s3://{s3_store.bucket}/{key}" for key in ("in/a.csv", "in/", "in/*.csv", "")]
    before = [source_marks(DataConfig(source=uri), s3_store.settings) for uri in uris]
    bucket.write("in/a.csv", b"2")
    bucket.write("out/c.csv", b"2")
    after = [source_marks(DataConfig(source=uri), s3_store.settings) for uri in uris]
    assert all(new != old for new, old in zip(after, before, strict=True))
    bucket.write("out/c.csv", b"3")
    again = [source_marks(DataConfig(source=uri), s3_store.settings) for uri in uris]
    assert [new == old for new, old in zip(again, after, strict=True)] == [True, True, True, False]
    bucket.close()
