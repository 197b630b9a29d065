"""Batch answers: each row once, in order, whatever happens on the way."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_checks.config import DataConfig
from data_checks.parse import read_rows
from data_checks.problems import ParseError
from models.predict import Classifier
from tasks import batch
from tasks.batch import BatchError, Counted, Job, check_job, predict_file
from tasks.lease import AlreadyRunning, lease
from tasks.ledger import champion
from tasks.place import Place
from tasks.store import S3Store
from tests.terminal import ROOT
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
NUM_ROWS = 60


class Length:
    """Answers a text with its length; `stops_at` kills it on the way."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.stops_at = stops_at

    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        if self.stops_at is not None and len(self.asked) >= self.stops_at:
            raise KeyboardInterrupt
        self.asked += texts
        return [{"text": text, "label": f"{len(text)}", "score": 0.5} for text in texts]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PART_ROWS", 7)


def write_rows(path: Path) -> list[str | None]:
    """Rows of jsonl with an id, some of them without a text; returns the texts."""
    texts = [None if i % 11 == 5 else f"row {i} says {'so ' * (i % 5)}…" for i in range(NUM_ROWS)]
    lines = (json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(texts))
    path.write_text("\n".join(lines), "utf-8")
    return texts


def read_answers(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        return [json.loads(line) for line in file]


def run(world: World, job: Job, predictor: Length) -> Counted:
    entry = champion(world.entries)
    assert entry is not None
    return predict_file(world.place, job, entry, lambda: predictor)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_killed_job_goes_on_and_answers_each_row_once(
    ending: str, adopted: World, tmp_path: Path, small_parts: None
) -> None:
    texts = write_rows(tmp_path / "rows.jsonl")
    target = tmp_path / "new" / f"answers{ending}"
    job = Job(source=str(tmp_path / "rows.jsonl"), target=str(target), column="text", kept=("id",))
    first, second = Length(stops_at=20), Length()
    with pytest.raises(KeyboardInterrupt):
        run(adopted, job, first)
    assert not target.exists(), "nothing appears before all of it is there"
    counted = run(adopted, job, second)
    assert counted == Counted(NUM_ROWS, NUM_ROWS, num_found=28)
    assert first.asked + second.asked == [text for text in texts if text is not None]
    answers = read_answers(target)
    assert [int(a["row"]) for a in answers] == list(range(1, NUM_ROWS + 1))
    assert [a["id"] for a in answers] == [f"n{i}" for i in range(NUM_ROWS)]
    assert [a["text"] or None for a in answers] == texts
    assert [a["label"] or None for a in answers] == [t and f"{len(t)}" for t in texts]
    assert list((adopted.place.cache / "predict").iterdir()) == []


class Sets:
    """Answers a text with a set of labels, which is empty for every third."""

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        sets = [["a|b", "c"] if i % 3 else [] for i in range(len(texts))]
        return [
            {"text": text, "labels": found, "scores": [0.9, 0.5][: len(found)]}
            for text, found in zip(texts, sets, strict=True)
        ]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_sets_of_labels_are_lists_that_can_be_learned_from_again(
    ending: str, adopted: World, tmp_path: Path
) -> None:
    write_rows(tmp_path / "rows.jsonl")
    target = tmp_path / f"answers{ending}"
    entry = champion(adopted.entries)
    assert entry is not None
    job = Job(source=str(tmp_path / "rows.jsonl"), target=str(target), column="text")
    predict_file(adopted.place, job, entry, Sets)
    first, second, *_ = read_answers(target)
    if ending != ".csv":
        assert (first["labels"], second["labels"]) == ([], ["a|b", "c"])
        assert (first["scores"], second["scores"]) == ([], [0.9, 0.5])
    config = DataConfig(source="x", label="labels", label_separator="|")
    rows = list(read_rows(target, config, name="x", split=None))
    assert [row.label for row in rows[:2]] == ["[]", '["a|b","c"]']
    assert rows[5].label is None, "a row without a text has no answer"


def test_another_input_or_another_champion_starts_anew(
    adopted: World, tmp_path: Path, small_parts: None
) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path)
    job = Job(source=str(path), target=str(tmp_path / "out.csv"), column="text")
    with pytest.raises(KeyboardInterrupt):
        run(adopted, job, Length(stops_at=20))
    path.write_text(path.read_text("utf-8").replace("row 3 ", "row three "), "utf-8")
    assert run(adopted, job, Length()).num_found == 0


def test_a_job_that_goes_on_elsewhere_is_left_alone(adopted: World, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path)
    job = Job(source=str(path), target=str(tmp_path / "out.csv"), column="text")
    with pytest.raises(KeyboardInterrupt):
        run(adopted, job, Length(stops_at=0))
    (key,) = [folder.name for folder in (adopted.place.cache / "predict").iterdir()]
    with lease(adopted.store, f"predict/{key}"), pytest.raises(AlreadyRunning):
        run(adopted, job, Length())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"target": "out.xlsx"}, "'out.xlsx' ends with none of .csv, .jsonl, .parquet"),
        ({"target": "rows.csv"}, "--output is the input"),
        ({"kept": ("label",)}, "--keep names label, which the output has anyway"),
        ({"kept": ("id", "id")}, "--keep names one twice"),
        ({"source": "s3://bucket"}, "--input 's3://bucket' names no object"),
        ({"source": "https://x/rows.csv"}, "is neither a file nor s3://bucket/key"),
    ],
)
def test_what_cannot_be_done_is_said_first(changes: dict[str, Any], problem: str) -> None:
    given = {"source": "rows.csv", "target": "out.csv", "column": "text", **changes}
    with pytest.raises(BatchError, match=problem):
        check_job(Job(**given))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("rows.csv", "./rows.csv"),
        ("rows.csv", "{here}/rows.csv"),
        ("link.csv", "rows.csv"),
        ("linked/rows.csv", "sub/../rows.csv"),
        ("s3://bucket/in/rows.csv", "s3://bucket/in/./rows.csv"),
        ("s3://bucket/in/rows.csv", "s3://bucket//in/rows.csv"),
        ("s3://bucket/in/rows.csv", "s3://bucket/out/../in/rows.csv"),
    ],
)
def test_the_input_by_another_name_is_never_the_output(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("text\na\n", "utf-8")
    (tmp_path / "link.csv").symlink_to("rows.csv")
    (tmp_path / "linked").symlink_to(".")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BatchError, match="--output is the input"):
        check_job(Job(source=source, target=target.format(here=tmp_path), column="text"))


def test_other_places_of_the_same_name_are_other_outputs(tmp_path: Path) -> None:
    for target in (str(tmp_path / "rows.csv"), "s3://bucket/rows.csv", "s3://Bucket/in/rows.csv"):
        check_job(Job(source="s3://bucket/in/rows.csv", target=target, column="text"))


def test_a_bad_row_at_the_end_is_found_before_the_first_answer(
    adopted: World, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text,id\na,1\nb,2\nc\n", "utf-8")
    job = Job(source=str(tmp_path / "rows.csv"), target=str(tmp_path / "out.csv"), column="text")
    with pytest.raises(ParseError, match="line 4: 1 fields instead of 2"):
        run(adopted, job, predictor := Length())
    with pytest.raises(ParseError, match="column 'txt' is missing"):
        run(adopted, Job(source=job.source, target=job.target, column="txt"), predictor)
    assert predictor.asked == []


@pytest.mark.service
def test_from_s3_to_s3(
    adopted: World, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = write_rows(tmp_path / "rows.jsonl")
    s3_store.upload("in/rows.jsonl", tmp_path / "rows.jsonl")
    settings = s3_store.settings
    assert settings.secret_access_key is not None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.access_key_id or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.secret_access_key.get_secret_value())
    monkeypatch.setenv("AWS_DEFAULT_REGION", settings.region or "")
    place = adopted.place.model_copy(update={"s3_endpoint_url": settings.endpoint_url})
    job = Job(
        source=f"{s3_store.uri}/in/rows.jsonl", target=f"{s3_store.uri}/out/answers.parquet",
        column="text",
    )  # fmt: skip
    entry = champion(adopted.entries)
    assert entry is not None
    predict_file(place, job, entry, Length)
    s3_store.download("out/answers.parquet", tmp_path / "answers.parquet")
    assert [a["text"] for a in read_answers(tmp_path / "answers.parquet")] == texts


@pytest.mark.slow
def test_the_command_is_killed_and_run_again(adopted: World, tmp_path: Path) -> None:
    """The real command, SIGKILL, the real model."""
    texts = [f"the thing number {i} is {('good', 'awful')[i % 2]}" for i in range(6000)]
    source, target = tmp_path / "rows.csv", tmp_path / "answers.jsonl"
    source.write_text("text\n" + "\n".join(texts), "utf-8")
    command = [sys.executable, "-m", "deployments.cli", "predict", NAME, "--json"]
    command += ["--input", str(source), "--output", str(target)]
    environment = {**os.environ, "REFIT_HOME": str(adopted.home), "OMP_NUM_THREADS": "1"}
    parts = adopted.place.cache / "predict"
    with subprocess.Popen(command, cwd=ROOT, env=environment) as killed:
        while not list(parts.glob("*/*.jsonl")):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not target.exists()
    assert killed.returncode == -signal.SIGKILL
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"6,000 of 6,000 rows answered, [1-9][\d,]*/s", done.stderr)
    assert 1000 <= json.loads(done.stdout)["of an earlier run"] < 6000
    answers = read_answers(target)
    assert [a["text"] for a in answers] == texts
    model = Classifier.load(adopted.path(adopted.entries[-1].model_uri))
    for start in (0, 1000):
        expected, _ = model.probabilities(texts[start : start + 1000])
        found = [a["score"] for a in answers[start : start + 1000]]
        assert found == pytest.approx(expected.max(axis=1).tolist(), abs=1e-6)


def test_memory_holds_one_part(tmp_path: Path) -> None:
    """Ten times as many rows, the same peak."""
    import tracemalloc

    peaks = []
    for num_rows in (2_000, 20_000):
        folder = tmp_path / str(num_rows)
        folder.mkdir()
        text = "word " * 200
        path = folder / "rows.csv"
        path.write_text("text\n" + "".join(f"{text}{i}\n" for i in range(num_rows)), "utf-8")
        place = Place(home=str(folder), store_uri=str(folder / "store"), tracking_uri="sqlite:///x")
        job = Job(source=str(path), target=str(folder / "out.parquet"), column="text")
        entry = _entry()
        tracemalloc.start()
        predict_file(place, job, entry, lambda: _Forgetful())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


class _Forgetful:
    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        return [{"text": text, "label": "a", "score": 0.5} for text in texts]


def _entry() -> Any:
    from records.ledger import LedgerEntry

    return LedgerEntry(
        sequence=1, previous_hash="", action="adopt", version="1", model_digest="d",
        model_uri="models/d", decision_digest="", actor="ann", time="",
    )  # fmt: skip
