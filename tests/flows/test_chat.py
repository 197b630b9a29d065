"""Chat through the whole pipeline: two-turn talks in, right answers out, for consumers as well."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.inside_commands import why
from deployments.model_commands import lookup, predict, replay
from flows.recipe import Recipe, parse_recipe
from records.evaluation import RunResult
from tests.consumer import asked_by_consumer
from tests.judge_server import KEY, JudgeServer, judging
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

FIRST = [
    {"content": "Hi! This is Zoe. Where is the guitar in the shop?", "role": "user"},
    {"content": "The guitar is in the window.", "role": "assistant"},
    {"content": "How much is it?", "role": "user"},
]
TEXTS = ["Hello. I am Tom. How much is the mirror?", json.dumps(FIRST, separators=(",", ":"))]


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    """An honest one, which must agree."""
    with judging() as server:
        yield server


def recipe_of(judge: JudgeServer, *overrides: str) -> Recipe:
    values = {
        "name": NAME,
        "task": "chat",
        "data": {"train": "sample:dialogues?num=500", "test": "sample:dialogues?seed=8&num=200",
                 "messages": "messages", "attributes": ["topic"]},
        "checks": {"max_dropped_share": 0.3},
        "base": {"scratch": {"architecture": "llama", "layers": 2, "width": 64, "positions": 96,
                             "feed_forward": 128, "vocabulary": 600}},
        "train": {"chat_template": "plain", "epochs": 6, "learning_rate": 0.004, "batch_size": 8,
                  "max_length": 96, "precision": "fp32", "generation": {"beams": 1, "max_new_tokens": 16}},
        "gate": {"metric": "exact_match", "minimum": 0.4, "judge": {"url": judge.url, "model": "j"},
                 "slices": {"columns": ["topic", "turns"], "margin": 0.2}},
    }  # fmt: skip
    return parse_recipe(values, overrides)


@pytest.fixture(scope="module")
def promoted_run(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: None, judge: JudgeServer
) -> tuple[World, RunResult]:
    """A home whose first chat model was promoted, by its figures and by a judge."""
    folder = tmp_path_factory.mktemp("chat")
    world = World(folder / "home", folder)
    world.home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_JUDGE_KEY", KEY)
        return world, world.run(recipe_of(judge))


def test_the_first_chat_model_beats_the_nearest_answer(
    promoted_run: tuple[World, RunResult],
) -> None:
    world, result = promoted_run
    assert (result.outcome, result.version) == ("promoted", "1"), result.summary
    file = world.decision(result.decision_digest)
    assert [card.role for card in file.record.baselines] == ["baseline:nearest"]
    assert file.record.challenger.metrics["stopped"] > 0.95
    assert replay(file) == "reproduces"
    assert "guitar" not in file.to_json().decode()
    page = Path(result.report_path).read_text("utf-8")
    assert "Exact match" in page
    assert "Right answer" in page


def test_the_judge_was_asked_once_and_nobody_sees_its_key(
    promoted_run: tuple[World, RunResult], judge: JudgeServer
) -> None:
    world, result = promoted_run
    file = world.decision(result.decision_digest)
    (judgement,) = file.record.judgements
    assert judgement.against == "baseline:nearest"
    assert judgement.shown_first == judgement.shown_last
    assert judgement.num_calls == len(judge.asked) - 1 > 100, "one before anything was trained"
    assert set(judge.keys) == {f"Bearer {KEY}"}
    rule = next(f for f in file.decision.findings if f.rule == "judge:baseline:nearest")
    assert rule.state == "passed"
    assert "both orders agree on 100.0%" in rule.reason
    page = Path(result.report_path).read_text("utf-8")
    assert "Both orders agree" in page
    assert "Against the baseline nearest, by the judge" in page
    kept = [path for path in world.home.rglob("*") if path.is_file()]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


def test_a_consumer_gets_what_refit_predict_says_in_both_turns(
    promoted_run: tuple[World, RunResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    answered = asked_by_consumer(world, NAME, TEXTS, tmp_path)
    predict(world.place, NAME, TEXTS, None, as_json=True)
    predicted = [row["output"] for row in json.loads(capsys.readouterr().out)]
    assert predicted == answered
    assert predicted[1].startswith("The guitar"), "the second turn says `it`"


def test_why_names_the_word_that_the_answer_is_about(
    promoted_run: tuple[World, RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = promoted_run
    why(world.place, NAME, TEXTS[0], None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["answer"]
    most = max(found["pieces"], key=lambda piece: piece["value"])
    assert most["text"] in ("mirror", "much"), found["pieces"]
    why(world.place, NAME, TEXTS[0], None, as_json=False)
    assert "What the answer costs more" in capsys.readouterr().out


def test_a_successor_of_wrong_answers_is_refused_by_figures_slices_and_judge(
    promoted_run: tuple[World, RunResult],
    judge: JudgeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world, first = promoted_run
    before = world.throne()
    monkeypatch.setenv("REFIT_JUDGE_KEY", KEY)
    result = world.run(
        recipe_of(judge, "data.train=sample:dialogues?num=500&wrong=1", "train.epochs=3")
    )
    assert result.outcome == "refused", result.summary
    assert world.throne() == before
    file = world.decision(result.decision_digest)
    assert replay(file) == "reproduces"
    states = {finding.rule: finding.state for finding in file.decision.findings}
    assert states["champion"] == states["anchor"] == states["judge:champion"] == "refused"
    slices = {rule: state for rule, state in states.items() if rule.startswith("slice:")}
    assert "refused" in slices.values(), "a loss is shown in a part of the test as well"
    assert {rule.partition("=")[0] for rule in slices} == {"slice:topic", "slice:turns"}
    reasons = Path(result.report_path).read_text("utf-8").partition('id="reasons"')[2]
    reasons = reasons.partition("</section>")[0]
    assert reasons.count("<tr>") == 1 + 10, "the ten that lost most, and a head"
    assert '<mark class="' in reasons.partition("<table")[2]
    lookup(world.place, NAME, as_json=False)
    assert f"models:/{NAME}/{first.version}" in capsys.readouterr().out
