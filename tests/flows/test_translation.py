"""Translation through the whole pipeline: the same flow, and what a consumer and a reader get."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from transformers import MBart50Tokenizer

from deployments.model_commands import lookup, predict, replay
from flows.recipe import Recipe, parse_recipe
from records.evaluation import RunResult
from tests.consumer import asked_by_consumer
from tests.tiny_texts import write_many_languages_base, write_translator_base
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXTS = ["The old baker sells a red lamp at the station.", "Tom has 42 new hats."]


def recipe_of(world: World, *overrides: str) -> Recipe:
    values = {
        "name": NAME,
        "task": "translation",
        "data": {
            "train": "sample:phrases?num=700", "test": "sample:phrases?seed=8&num=200",
            "source_language": "en", "target_language": "de", "attributes": ["phenomenon"],
        },
        "base": {"model": str(world.files / "translator")},
        "train": {
            "epochs": 6, "learning_rate": 0.004, "max_length": 48, "max_target_length": 48,
            "precision": "fp32", "generation": {"beams": 2, "max_new_tokens": 24},
        },
        "gate": {
            "minimum": 0.15, "margin": 0.05,
            "slices": {"columns": ["phenomenon", "length_ratio", "copied"], "margin": 0.2},
        },
    }  # fmt: skip
    return parse_recipe(values, overrides)


@pytest.fixture(scope="module")
def promoted_run(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: None
) -> tuple[World, RunResult]:
    """A home whose first translator was promoted."""
    folder = tmp_path_factory.mktemp("translation")
    world = World(folder / "home", folder)
    world.home.mkdir()
    write_translator_base(folder / "translator")
    return world, world.run(recipe_of(world))


def test_the_first_translator_beats_copy_and_untuned_base(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, result = promoted_run
    assert (result.outcome, result.version) == ("promoted", "1"), result.summary
    record = world.decision(result.decision_digest).record
    assert record.expected_baselines == ("baseline:copy", "baseline:base")
    assert record.task == "translation"
    assert "tok:13a" in record.challenger.fingerprint.signatures["bleu"]
    assert world.alias == "1"
    assert world.registry.versions(NAME)[0].tags["refit.chrf"] == (
        f"{record.challenger.metrics['chrf']:.4f}"
    )


def test_its_decision_replays_and_holds_no_text(promoted_run: tuple[World, RunResult]) -> None:
    world, result = promoted_run
    file = world.decision(result.decision_digest)
    assert replay(file) == "reproduces"
    words = file.to_json().decode()
    assert "Bäcker" not in words
    assert "baker" not in words
    card = file.record.challenger
    outputs = pd.read_parquet(
        world.path(f"outputs/{card.model_digest}/{card.fingerprint.digest}.parquet")
    )
    assert list(outputs["item_id"]) == list(card.item_ids)
    assert outputs["output"].str.len().mean() > 10


def test_the_page_shows_source_reference_and_translation(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, result = promoted_run
    page = Path(result.report_path).read_text("utf-8")
    card = world.decision(result.decision_digest).record.challenger
    outputs = pd.read_parquet(
        world.path(f"outputs/{card.model_digest}/{card.fingerprint.digest}.parquet")
    )
    shown = outputs[outputs["item_id"].isin(result_flips(world, result))]["output"]
    assert sum(text in page for text in shown) >= 5
    assert "Right answer" in page
    assert "Confusion" not in page
    assert "version:2." in page


def result_flips(world: World, result: RunResult) -> set[str]:
    compared = world.decision(result.decision_digest).decision.comparisons
    return {item for one in compared for item in one.flips}


def test_a_consumer_gets_what_refit_predict_says(
    promoted_run: tuple[World, RunResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    answered = asked_by_consumer(world, NAME, TEXTS, tmp_path)
    predict(world.place, NAME, TEXTS, None, as_json=True)
    predicted = json.loads(capsys.readouterr().out)
    assert [row["output"] for row in predicted] == answered
    assert [row["text"] for row in predicted] == TEXTS


def test_the_artifact_holds_no_pickle(promoted_run: tuple[World, RunResult]) -> None:
    world, _ = promoted_run
    names = {path.name for path in world.home.rglob("*") if path.is_file()}
    assert "translator.py" in names
    assert not [n for n in names if n.endswith((".pkl", ".bin", ".pt", ".pth"))]


def test_the_same_again_is_unchanged(promoted_run: tuple[World, RunResult]) -> None:
    world, first = promoted_run
    assert world.run(recipe_of(world)).outcome == "unchanged"
    assert world.entries[-1].decision_digest == first.decision_digest


def test_a_successor_of_mispaired_sentences_is_refused_and_harms_slices(
    promoted_run: tuple[World, RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    world, first = promoted_run
    before = world.throne()
    mispaired = "data.train=sample:phrases?num=700&mispair=0.9"
    result = world.run(recipe_of(world, mispaired, "train.epochs=2"))
    assert result.outcome == "refused", result.summary
    assert world.throne() == before
    states = refusal_states(world, result)
    assert states["champion"] == states["anchor"] == "refused"
    slices = {rule: state for rule, state in states.items() if rule.startswith("slice:")}
    assert "refused" in slices.values(), "a loss is shown in a part of the test as well"
    assert {rule.partition("=")[0] for rule in slices} == {
        "slice:phenomenon", "slice:length_ratio", "slice:copied",
    }  # fmt: skip
    reasons = Path(result.report_path).read_text("utf-8").partition('id="reasons"')[2]
    reasons = reasons.partition("</section>")[0]
    assert reasons.count("<tr>") == 1 + 10, "the ten that lost most, and a head"
    assert '<mark class="' in reasons.partition("<table")[2]
    lookup(world.place, NAME, as_json=False)
    assert f"models:/{NAME}/{first.version}" in capsys.readouterr().out


def refusal_states(world: World, result: RunResult) -> dict[str, str]:
    """The gate's findings of a decision that replays: rule -> state."""
    file = world.decision(result.decision_digest)
    assert replay(file) == "reproduces"
    return {finding.rule: finding.state for finding in file.decision.findings}


def test_a_base_of_many_languages_is_told_the_two_of_the_data(
    tmp_path: Path, prefect_server: None
) -> None:
    world = World(tmp_path / "home", tmp_path)
    world.home.mkdir()
    write_many_languages_base(tmp_path / "translator", MBart50Tokenizer)
    result = world.run(recipe_of(world))
    assert result.outcome == "promoted", result.summary
    record = world.decision(result.decision_digest).record
    assert "baseline:base" in record.expected_baselines
    (answer,) = asked_by_consumer(world, NAME, TEXTS[:1], tmp_path)
    assert not re.search("[a-z]{2}_[A-Z]{2}", answer)
    saved = world.path(f"models/{record.challenger.model_digest}")
    options = json.loads((saved / "tokenizer_config.json").read_text("utf-8"))
    assert (options["src_lang"], options["tgt_lang"]) == ("en_XX", "de_DE")
    assert json.loads((saved / "generation_config.json").read_text("utf-8"))["forced_bos_token_id"]
