"""The flow end to end on a real Prefect server and a real registry."""

import os
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from deployments.exits import Exit
from flows import retrain
from records.ledger import LedgerEntry
from tasks.ledger import ChampionChanged, LedgerError, append
from tasks.promote import draft_entry, promote
from tasks.publish import artifact_key, report_key
from tests.world import NAME, NUM_TEST, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def flow_runs(model: str) -> list[FlowRun]:
    """Runs of the flow about that model, oldest first, as the server tells them."""
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[f"retrain {model}"]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )


def task_states(flow_run: FlowRun, num_expected: int) -> dict[str, tuple[str, str]]:
    """Name of the state and its message by task's function; task runs reach the server a little later."""
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
            )
            named = {run.task_key.rpartition("-")[0]: run.state for run in runs if run.state}
            if len(named) >= num_expected and all(state.is_final() for state in named.values()):
                return {name: (s.name or "", s.message or "") for name, s in named.items()}
            assert time.monotonic() < deadline, named
            time.sleep(0.5)


def test_promotes_a_challenger_over_an_adopted_champion(promoted_world: World) -> None:
    adopted, promoted = promoted_world.entries
    assert (adopted.action, adopted.version, adopted.is_anchor) == ("adopt", "1", True)
    assert (promoted.action, promoted.version) == ("promote", "2")
    assert promoted.replaces == adopted.model_digest
    assert not promoted.is_anchor, "as good as its predecessor is not superior"
    assert promoted_world.alias == "2"
    assert promoted_world.registry.mirrored_head(NAME) == (2, promoted.digest)


def test_promoted_version_carries_its_card_and_its_digests(promoted_world: World) -> None:
    first, second = promoted_world.registry.versions(NAME)
    entry = promoted_world.entries[-1]
    record = promoted_world.decision(entry.decision_digest).record
    assert first.tags["refit.model_digest"] == promoted_world.entries[0].model_digest
    assert second.tags["refit.model_digest"] == entry.model_digest
    assert second.tags["refit.train_key"] == entry.train_key
    assert second.tags["refit.decision"] == entry.decision_digest
    assert second.tags["refit.snapshot"] == record.data_digest
    assert second.tags["refit.accuracy"] == f"{record.challenger.metrics['accuracy']:.4f}"
    assert NAME in second.description
    assert entry.decision_digest[:12] in second.description


def test_promoted_version_leads_to_its_report(promoted_world: World) -> None:
    version = promoted_world.registry.versions(NAME)[-1]
    assert version.tags["refit.report"] in version.description
    page = mlflow.artifacts.download_artifacts(version.tags["refit.report"])
    assert "is the new champion" in Path(page).read_text("utf-8")


def test_all_models_are_scored_on_the_same_items(promoted_world: World) -> None:
    record = promoted_world.decision(promoted_world.entries[-1].decision_digest).record
    assert record.champion is not None
    assert record.anchor is not None
    assert len(record.items.item_ids) == NUM_TEST
    for card in (record.challenger, record.champion, record.anchor):
        assert card.item_ids == record.items.item_ids
    assert record.champion.model_digest != record.challenger.model_digest


def test_flow_run_is_completed_and_named_after_its_outcome(promoted: World) -> None:
    assert promoted.run(promoted.recipe(RIVAL, "gate.minimum=0.9999")).outcome == "refused"
    assert promoted.run(promoted.recipe()).outcome == "unchanged"
    states = [run.state for run in flow_runs(NAME) if run.state]
    # other files may have left runs here, killed ones among them
    assert "Promoted" in {state.name for state in states if state.type == StateType.COMPLETED}
    assert [state.name for state in states[-2:]] == ["Refused", "Unchanged"]
    assert {state.type for state in states[-2:]} == {StateType.COMPLETED}
    assert "Nothing new" in str(states[-1].message)


def test_refusal_whose_page_a_killed_run_never_wrote_is_said_again_with_its_page(
    promoted: World,
) -> None:
    recipe = promoted.recipe(RIVAL, "gate.minimum=0.9999")
    first = promoted.run(recipe)
    promoted.store.delete(report_key(NAME, first.decision_digest))
    again = promoted.run(recipe)
    assert (again.outcome, again.decision_digest) == ("refused", first.decision_digest)
    assert promoted.store.exists(report_key(NAME, first.decision_digest))
    assert promoted.run(recipe).outcome == "unchanged"


def test_same_recipe_again_is_unchanged_in_seconds_and_leaves_no_trace(promoted: World) -> None:
    throne, keys = promoted.throne(), sorted(promoted.store.list())
    num_runs = len(promoted.runs())
    result = promoted.run(promoted.recipe())
    assert result.outcome == "unchanged"
    took_s = flow_runs(NAME)[-1].total_run_time.total_seconds()
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert 0 < took_s < 5 * crowd, f"{took_s:.1f} s in the flow"
    assert Exit.of_outcome(result.outcome) == 0
    assert result.version == "2"
    assert promoted.throne() == throne
    assert sorted(promoted.store.list()) == keys
    assert len(promoted.runs()) == num_runs


def test_the_champions_own_digest_is_unchanged_and_never_judged(promoted: World) -> None:
    """Another train key that makes the same bytes: a patience that is never needed."""
    throne, decided = promoted.throne(), promoted.index
    result = promoted.run(promoted.recipe("train.early_stopping=100"))
    assert result.outcome == "unchanged"
    assert "byte for byte" in result.summary
    assert promoted.throne() == throne
    assert promoted.index == decided


class Intruders:
    """In the place of `promote`: whoever else puts a model live just before it, so many times."""

    def __init__(self, world: World, num_times: int) -> None:
        self.world, self.num_times, self.num_calls = world, num_times, 0

    def __call__(self, *args: Any) -> LedgerEntry:
        self.num_calls += 1
        if self.num_calls <= self.num_times:
            entries = self.world.entries
            back = next(e for e in reversed(entries) if e.model_digest != entries[-1].model_digest)
            draft = draft_entry(
                action="override", actor="eve", reason="", version=back.version,
                model_digest=back.model_digest, model_uri=back.model_uri,
            )  # fmt: skip
            append(self.world.store, NAME, draft, decided_against=entries[-1])
        return promote(*args)


def test_who_comes_second_judges_again_against_the_new_champion(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    intruders = Intruders(promoted, num_times=1)
    monkeypatch.setattr(retrain, "promote", intruders)
    result = promoted.run(promoted.recipe(RIVAL))
    assert (result.outcome, intruders.num_calls) == ("promoted", 2), result.summary
    first, _, other, last = promoted.entries
    assert (other.action, other.model_digest) == ("override", first.model_digest)
    assert (last.action, last.replaces) == ("promote", other.model_digest)
    record = promoted.decision(last.decision_digest).record
    assert record.ledger_sequence == other.sequence == 3
    assert record.champion is not None
    assert record.champion.model_digest == other.model_digest
    assert promoted.alias == last.version == result.version


def test_who_comes_second_each_time_gives_up_after_three(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    intruders = Intruders(promoted, num_times=99)
    monkeypatch.setattr(retrain, "promote", intruders)
    with pytest.raises(ChampionChanged, match="changed 3 times; run again"):
        promoted.run(promoted.recipe(RIVAL))
    assert intruders.num_calls == retrain.MAX_DECISIONS == 3
    assert [entry.action for entry in promoted.entries[2:]] == ["override"] * 3


def test_a_rival_as_good_as_the_champion_is_promoted_after_it(promoted: World) -> None:
    result = promoted.run(promoted.recipe(RIVAL))
    assert (result.outcome, result.version) == ("promoted", "3")
    assert promoted.alias == "3"
    assert [entry.action for entry in promoted.entries] == ["adopt", "promote", "promote"]
    assert promoted.path(f"reports/{NAME}/{result.decision_digest}/report.html").is_file()


def test_a_part_finished_key_goes_on_and_prefect_shows_what_was_found(promoted: World) -> None:
    """The rival was trained and scored before, as by a run that was killed, and never judged."""
    result = promoted.run(promoted.recipe(RIVAL))
    assert result.outcome == "promoted", result.summary
    states = task_states(flow_runs(NAME)[-1], num_expected=9)
    cached = {name: message for name, (state, message) in states.items() if state == "Cached"}
    assert set(cached) == {"ingest", "check", "train_challenger", "evaluate"}
    assert cached["train_challenger"].startswith("this training was done before: model ")
    assert {states[name][0] for name in ("decide_challenger", "promote", "publish")} == {
        "Completed"
    }


def test_a_dry_run_says_that_it_would_promote_and_leaves_production_alone(promoted: World) -> None:
    throne, decided = promoted.throne(), len(promoted.index)
    result = promoted.run(promoted.recipe(RIVAL), mode="dry run")
    assert (result.outcome, result.version) == ("would_promote", "2")
    assert Exit.of_outcome(result.outcome) == 0
    assert promoted.throne() == throne
    assert len(promoted.index) == decided + 1
    assert promoted.path(f"reports/{NAME}/{result.decision_digest}/report.html").is_file()
    last = flow_runs(NAME)[-1].state
    assert last is not None
    assert last.name == "Would promote"


def test_evaluate_only_scores_the_champion_on_todays_items_and_publishes_it(
    promoted: World,
) -> None:
    throne, decided, trained = promoted.throne(), promoted.index, len(promoted.runs())
    result = promoted.run(promoted.recipe(RIVAL, "gate.minimum=0.9999"), mode="evaluate only")
    assert (result.outcome, result.version) == ("evaluated", "2")
    assert Exit.of_outcome(result.outcome) == 0
    assert (promoted.throne(), promoted.index) == (throne, decided)
    assert len(promoted.runs()) == trained, "nothing is trained"
    run = flow_runs(NAME)[-1]
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        found = {one.key: one for one in client.read_artifacts(artifact_filter=wanted)}
    shown = found[artifact_key(NAME, "evaluation")]
    assert result.summary.removeprefix("Version 2: ") in str(shown.data)
    assert run.state is not None
    assert run.state.name == "Evaluated"


def test_evaluate_only_without_a_champion_says_so(
    prefect_server: None, files: Path, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    with pytest.raises(LedgerError, match="has no champion to evaluate; promote one first"):
        world.run(world.recipe(), mode="evaluate only")
