"""Several labels per text through the whole pipeline: sets in, sets out, for consumers as well."""

import json
from pathlib import Path

import mlflow
import pytest
from fastapi.testclient import TestClient
from transformers import pipeline

from deployments.inside_commands import why
from deployments.model_commands import predict, replay
from deployments.serve import Throne, make_app
from flows.recipe import Recipe, parse_recipe
from records.evaluation import RunResult
from tests.consumer import asked_by_consumer
from tests.tiny import write_base, write_sets_jsonl
from tests.world import NAME, TRAINING, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXTS = [
    "the good thing number 12 is great", "the good thing number 13 is awful",
    "the bad thing number 14 is awful", "the bad thing number 15 is fine",
]  # fmt: skip
SETS = [["kind", "same"], ["kind"], ["same"], []]


def recipe_of(world: World, *overrides: str) -> Recipe:
    values = {
        "name": NAME,
        "task": "multilabel",
        "data": {name: str(world.files / f"{name}.jsonl") for name in ("train", "test")},
        "base": {"model": str(world.files / "base")},
        "train": TRAINING | {"epochs": 12},
        "gate": {"minimum": 0.8, "margin": 0.05, "min_items": 100,
                 "slices": {"columns": ["label", "length"], "margin": 0.1}},
    }  # fmt: skip
    return parse_recipe(values, overrides)


@pytest.fixture(scope="module")
def promoted_run(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: None
) -> tuple[World, RunResult]:
    """A home whose first model of sets was promoted."""
    folder = tmp_path_factory.mktemp("sets")
    world = World(folder / "home", folder)
    world.home.mkdir()
    write_base(folder / "base")
    write_sets_jsonl(folder / "train.jsonl", num_rows=800)
    write_sets_jsonl(folder / "test.jsonl", num_rows=240, first=5000)
    return world, world.run(recipe_of(world))


def test_the_first_model_beats_tfidf_and_the_most_frequent_set(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, result = promoted_run
    assert (result.outcome, result.version) == ("promoted", "1"), result.summary
    file = world.decision(result.decision_digest)
    assert [card.role for card in file.record.baselines] == ["baseline:tfidf", "baseline:majority"]
    card = file.record.challenger
    assert card.model_labels == ("kind", "same")
    assert set(card.predicted) == {"[]", '["kind"]', '["same"]', '["kind","same"]'}
    assert card.metrics["micro_f1"] > 0.9 > file.record.baselines[0].metrics["f1:same"]
    assert file.record.parity.num_equal_labels == file.record.parity.num_compared == 200
    assert replay(file) == "reproduces"


def test_every_way_to_ask_gives_the_same_sets(
    promoted_run: tuple[World, RunResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    predict(world.place, NAME, TEXTS, None, as_json=True)
    answers = json.loads(capsys.readouterr().out)
    assert [sorted(row["labels"]) for row in answers] == SETS
    throne = Throne(world.place, NAME)
    throne.look()
    served = TestClient(make_app(throne)).post("/predict", json={"texts": TEXTS}).json()
    assert served["answers"] == answers
    assert asked_by_consumer(world, NAME, TEXTS, tmp_path) == SETS
    mlflow.set_tracking_uri(world.place.tracking_uri)
    logged = mlflow.artifacts.download_artifacts(f"models:/{NAME}@champion")
    folder = next(Path(logged, "artifacts").iterdir())
    thresholds = json.loads((folder / "config.json").read_text())["label_thresholds"]
    plain = pipeline("text-classification", model=str(folder), top_k=None)(TEXTS)
    by_hand = [
        sorted(one["label"] for one in row if one["score"] >= thresholds[one["label"]])
        for row in plain
    ]
    assert by_hand == SETS
    likeliest = [max(row, key=lambda one: one["score"])["score"] for row in plain[:3]]
    assert likeliest == pytest.approx([row["scores"][0] for row in answers[:3]], abs=1e-5)
    predict(world.place, NAME, TEXTS, None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [sorted(json.loads(line.split("\t")[0])) for line in lines] == SETS


def test_the_page_counts_each_label_and_the_next_model_is_judged_on_its_items(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, first = promoted_run
    page = Path(first.report_path).read_text("utf-8")
    for words in ("Micro-F1", "Hamming loss", "Given wrongly", "whole set right", ">Labels</h2>",
                  "True labels", "kind, same", "(none)"):  # fmt: skip
        assert words in page, words
    assert "could not be drawn" not in page
    second = world.run(recipe_of(world, "train.seed=2"))
    assert second.outcome == "promoted", second.summary
    found = {f.rule: f for f in world.decision(second.decision_digest).decision.findings}
    assert {rule for rule in found if rule.startswith("slice:label")} == {
        "slice:label=kind", "slice:label=same"
    }  # fmt: skip
    assert found["slice:label=kind"].num_items == 120
    assert found["slice:label=kind"].reason.startswith("micro_f1 gain")


def test_why_explains_one_label_of_the_set_by_its_own_log_odds(
    promoted_run: tuple[World, RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    why(world.place, NAME, TEXTS[1], "kind", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["is_complete"]
    assert found["label"] == "kind"
    assert found["probability"] > 0.5
    most = max(found["pieces"], key=lambda piece: piece["value"])
    assert most["text"] == "good", found["pieces"]
