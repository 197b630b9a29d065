"""A language model from raw text through the whole pipeline, and then as the base of a classifier."""

import json
from pathlib import Path

import pytest

from data_checks.sample_phrases import PhraseOptions, generate
from deployments.model_commands import lookup, predict, replay
from flows.recipe import Recipe, parse_recipe
from models.base import read_lineage
from records.document import DecisionDocument
from records.evaluation import RunResult
from tasks.check import read_split
from tasks.decide import read_decision
from tests.consumer import asked_by_consumer
from tests.tiny import write_csv
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXTS = ["Does the old baker sell the red lamp at the station?", "xq zzk 17"]


def recipe_of(world: World, *overrides: str) -> Recipe:
    values = {
        "name": NAME,
        "task": "language_modeling",
        "data": {"source": str(world.files / "texts.txt")},
        "base": {"scratch": {"architecture": "gpt2", "layers": 2, "width": 64, "positions": 128,
                             "vocabulary": 600}},
        "train": {"epochs": 8, "learning_rate": 0.003, "batch_size": 16, "max_length": 32,
                  "dropout": 0.0, "precision": "fp32"},
        "split": {"test": 0.25},
        "gate": {"minimum": 3.0, "slices": {"columns": ["length"]}},
    }  # fmt: skip
    return parse_recipe(values, overrides)


@pytest.fixture(scope="module")
def promoted_run(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: None
) -> tuple[World, RunResult]:
    """A home whose first language model was promoted."""
    folder = tmp_path_factory.mktemp("language")
    world = World(folder / "home", folder)
    world.home.mkdir()
    texts = [row["source"] for row in generate(PhraseOptions(num=1000))]
    (folder / "texts.txt").write_text("\n\n".join(texts), "utf-8")
    return world, world.run(recipe_of(world))


def test_the_first_language_model_beats_unigrams_and_trigrams(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, result = promoted_run
    assert (result.outcome, result.version) == ("promoted", "1"), result.summary
    file = world.decision(result.decision_digest)
    roles = {card.role for card in file.record.baselines}
    assert roles == {"baseline:unigram", "baseline:trigram"}
    assert replay(file) == "reproduces"
    assert file.record.policy.metric == "loss_per_token"
    page = Path(result.report_path).read_text("utf-8")
    assert "Loss per token" in page
    assert "nats" in page


def test_a_consumer_is_told_what_refit_predict_says(
    promoted_run: tuple[World, RunResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    answered = asked_by_consumer(world, NAME, TEXTS, tmp_path)
    predict(world.place, NAME, TEXTS, None, as_json=True)
    predicted = [row["loss_per_token"] for row in json.loads(capsys.readouterr().out)]
    assert predicted == pytest.approx(answered, abs=1e-4)
    assert predicted[0] + 1 < predicted[1], "a sentence of its kind is likelier than noise"


def test_it_is_the_base_of_a_classifier_whose_lineage_is_then_known(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, _ = promoted_run
    write_csv(world.files / "rows.csv", num_rows=300)
    recipe = parse_recipe(
        {
            "name": "labels",
            "data": {"source": str(world.files / "rows.csv")},
            "base": {"model": f"models:/{NAME}@champion"},
            "train": {"epochs": 0.2, "max_length": 32, "precision": "fp32"},
            "gate": {"minimum": 0.5},
        }
    )
    trained = world.train(recipe)
    assert trained.base_lineage_known
    groups, is_complete = read_lineage(world.path(trained.model_key))
    assert is_complete
    assert len(groups) > 700, "its own rows and those that the language model has seen"


def test_a_chat_model_on_it_by_adapters_is_shown_better_than_the_untuned_base(
    promoted_run: tuple[World, RunResult],
) -> None:
    """By the gate's own bound on the loss of the assistant's held-out tokens."""
    world, _ = promoted_run
    values = {
        "name": "talk",
        "task": "chat",
        "data": {"train": "sample:dialogues?num=300", "test": "sample:dialogues?seed=8&num=200",
                 "messages": "messages"},
        "checks": {"max_dropped_share": 0.3},
        "base": {"model": f"models:/{NAME}@champion"},
        "train": {"strategy": "lora", "lora": {"rank": 16, "alpha": 32}, "chat_template": "plain",
                  "epochs": 3, "learning_rate": 0.01, "batch_size": 4, "max_length": 120,
                  "precision": "fp32", "generation": {"beams": 1, "max_new_tokens": 4}},
        "gate": {"metric": "loss_per_token", "minimum": 9.0},
    }  # fmt: skip
    result = world.run(parse_recipe(values))
    decision = read_decision(world.store, "talk", result.decision_digest).decision
    found = {finding.rule: finding for finding in decision.findings}
    assert set(found) >= {"baseline:base", "baseline:nearest"}
    gain = found["baseline:base"].interval
    assert gain is not None
    assert gain.lower is not None
    assert gain.lower > 0.5, "nats per token"
    assert result.outcome == "promoted", result.summary


def test_a_successor_of_scrambled_texts_is_refused_and_one_that_goes_on_from_it_is_judged(
    promoted_run: tuple[World, RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    """New training texts beside the given test, which is that of the first run."""
    world, first = promoted_run
    before = world.throne()
    data = world.data(recipe_of(world))
    splits = {ref.split: read_split(world.store, ref, world.place.cache) for ref in data.splits}
    new = [row["source"] for row in generate(PhraseOptions(seed=9, num=400))]
    parts = {
        "test": list(splits["test"]["text"]),
        "new": new,
        "scrambled": [" ".join(text.split()[::-1]) for text in new],
    }
    for name, texts in parts.items():
        (world.files / f"{name}.txt").write_text("\n\n".join(texts), "utf-8")

    def adapted(name: str) -> RunResult:
        files = [str(world.files / f"{part}.txt") for part in (name, "test")]
        return world.run(
            recipe_of(
                world,
                f"data={{train: {files[0]}, test: {files[1]}}}",
                f"base={{model: 'models:/{NAME}@champion'}}",
                "split={}",
                "train.epochs=2",
            )
        )

    worse = adapted("scrambled")
    assert worse.outcome == "refused", worse.summary
    assert world.throne() == before
    file = world.decision(worse.decision_digest)
    assert replay(file) == "reproduces"
    states = {finding.rule: finding.state for finding in file.decision.findings}
    assert states["champion"] == states["anchor"] == "refused"
    slices = [state for rule, state in states.items() if rule.startswith("slice:length=")]
    assert "refused" in slices
    lookup(world.place, NAME, as_json=False)
    assert f"models:/{NAME}/{first.version}" in capsys.readouterr().out

    better = adapted("new")
    document = DecisionDocument.from_json(
        world.path(f"reports/{NAME}/{better.decision_digest}/document.json").read_bytes()
    )
    assert document.train.base == f"models:/{NAME}@champion"
    assert document.train.base_lineage_known
    assert document.file.record.challenger.metrics["loss_per_token"] < 3
    assert (better.outcome, better.version) == ("promoted", "2"), better.summary
