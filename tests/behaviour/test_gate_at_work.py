"""What users rely on: whatever goes wrong, the model in production stays, and the record says why."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from deployments import cli
from deployments.exits import Exit, explain_exception
from records.evaluation import RunResult
from tasks.changes import release, roll_back
from tasks.evaluate import ScoringCrashed
from tasks.ledger import NameClaimed, is_held
from tests.tiny import write_csv
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def assert_refused(world: World, result: RunResult, *rules: str) -> None:
    """Refused with exit 3, by these rules among others, and with a record and a page."""
    assert result.outcome == "refused", result.summary
    assert Exit.of_outcome(result.outcome) == 3
    file = world.decision(result.decision_digest)
    assert file.decision.verdict == "refuse"
    assert set(rules) <= {finding.rule for finding in file.decision.refusals}
    page = Path(result.report_path).read_text("utf-8")
    assert "efuse" in page
    assert world.path(f"reports/{NAME}/{result.decision_digest}/document.json").is_file()


def test_a_worse_challenger_is_refused_once(promoted: World) -> None:
    throne = promoted.throne()
    result = promoted.run(promoted.worse_recipe())
    assert_refused(promoted, result, "floor", "champion", "anchor")
    assert promoted.decision(result.decision_digest).decision.kind == "shown worse"
    page = Path(result.report_path).read_text("utf-8")
    assert page.count('class="for-4"') >= 10  # the ten surest new mistakes, each with its reasons
    assert promoted.throne() == throne

    # The same once more: known, not judged again, and nothing written.
    keys, index = sorted(promoted.store.list()), promoted.index
    again = promoted.run(promoted.worse_recipe())
    assert again.outcome == "unchanged"
    assert Exit.of_outcome(again.outcome) == 0
    assert again.decision_digest == result.decision_digest
    assert promoted.index == index
    assert sorted(promoted.store.list()) == keys
    assert promoted.throne() == throne


def test_after_a_rollback_nothing_is_promoted_until_release(promoted: World) -> None:
    taken_down = promoted.entries[-1].model_digest
    roll_back(promoted.place, NAME, to_version=None, actor="ann", reason="complaints")
    throne = promoted.throne()
    assert throne["alias"] == "1"

    held = promoted.run(promoted.recipe(RIVAL))
    assert held.outcome == "held"
    assert Exit.of_outcome(held.outcome) == 5
    assert promoted.decision(held.decision_digest).decision.verdict == "promote"
    assert promoted.throne() == throne
    # Tomorrow's run of the recipe whose model was taken down does not undo it either.
    barred = promoted.run(promoted.recipe())
    assert_refused(promoted, barred, "barred")
    assert promoted.throne() == throne

    release(promoted.place, NAME, actor="ann", reason="mended")
    assert not is_held(promoted.entries)
    assert_refused(promoted, promoted.run(promoted.recipe()), "barred")
    good = promoted.run(promoted.recipe(RIVAL))
    assert (good.outcome, good.version, promoted.alias) == ("promoted", "3", "3")
    assert promoted.entries[-1].model_digest != taken_down
    assert_refused(promoted, promoted.run(promoted.recipe()), "barred")


@pytest.mark.parametrize("role", ["champion", "anchor"])
@pytest.mark.parametrize("damage", ["flipped byte", "file gone", "manifest gone"])
def test_a_damaged_champion_or_anchor_lets_nobody_pass(
    promoted: World, role: str, damage: str
) -> None:
    """It cannot be compared with; a NaN champion must not be one that anybody beats."""
    entry = promoted.entries[1 if role == "champion" else 0]
    weights = promoted.path(f"{entry.model_uri}/model.safetensors")
    if damage == "flipped byte":
        flip_byte(weights)
    else:
        (weights if damage == "file gone" else weights.with_name("manifest.json")).unlink()
    throne = promoted.throne()
    result = promoted.run(promoted.recipe(RIVAL))
    assert_refused(promoted, result, "complete")
    file = promoted.decision(result.decision_digest)
    assert f"{role}: could not be scored" in file.decision.refusals[0].reason
    assert file.decision.kind == "broken"
    assert promoted.throne() == throne


def test_once_the_damage_is_mended_the_same_challenger_is_judged_anew(promoted: World) -> None:
    weights = promoted.path(f"{promoted.entries[1].model_uri}/model.safetensors")
    flip_byte(weights)
    broken = promoted.run(promoted.recipe(RIVAL))
    assert_refused(promoted, broken, "complete")
    flip_byte(weights)
    mended = promoted.run(promoted.recipe(RIVAL))
    assert mended.outcome != "unchanged", mended.summary
    assert promoted.decision(mended.decision_digest).decision.kind != "broken"


def test_bad_data_reaches_neither_training_nor_registry(promoted: World) -> None:
    few = write_csv(promoted.home / "few.csv", num_rows=3)
    throne, trains = promoted.throne(), sorted(promoted.store.list("trains"))
    num_runs, index = len(promoted.runs()), promoted.index
    recipe = promoted.recipe(f"data.train={few}", "checks.min_rows=500")
    result = promoted.run(recipe)
    assert result.outcome == "data_refused", result.summary
    assert Exit.of_outcome(result.outcome) == 4
    assert "Nothing was trained" in result.summary
    assert result.data_key
    assert promoted.throne() == throne
    assert sorted(promoted.store.list("trains")) == trains
    assert len(promoted.runs()) == num_runs
    assert promoted.index == index


def test_a_killed_scoring_process_is_a_fault_and_no_verdict(promoted: World) -> None:
    for key in list(promoted.store.list(f"scores/{promoted.entries[-1].model_digest}")):
        promoted.store.delete(key)
    throne, index = promoted.throne(), promoted.index
    killer = threading.Thread(target=kill_scoring, daemon=True)
    killer.start()
    with pytest.raises(ScoringCrashed, match="killed by signal 9; run again") as caught:
        promoted.run(promoted.recipe(RIVAL))
    killer.join(1)
    assert explain_exception(caught.value)[1] is Exit.FAULT
    assert promoted.throne() == throne
    assert promoted.index == index


def kill_scoring() -> None:
    """Kill this process's own child that scores, as the system does when memory is short."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        for child in psutil.Process(os.getpid()).children():
            try:
                if "models.scoring" in child.cmdline():
                    child.kill()
                    return
            except psutil.Error:
                continue
        time.sleep(0.05)


def test_a_second_recipe_cannot_take_a_models_name(promoted: World) -> None:
    thief = promoted.recipe("name=thief", f"model={NAME}", "train.seed=5")
    throne, keys, num_runs = promoted.throne(), sorted(promoted.store.list()), len(promoted.runs())
    with pytest.raises(NameClaimed, match=f"belongs to recipe '{NAME}'.*not to 'thief'") as caught:
        promoted.run(thief)
    assert explain_exception(caught.value)[1] is Exit.USAGE
    assert promoted.throne() == throne
    assert sorted(promoted.store.list()) == keys, "it is told before it trains"
    assert len(promoted.runs()) == num_runs


@pytest.mark.parametrize(("is_worse", "code"), [(True, 3), (False, 0)])
def test_refit_run_ends_with_the_exit_code_of_its_outcome(
    promoted: World, monkeypatch: pytest.MonkeyPatch, is_worse: bool, code: int
) -> None:
    recipe = promoted.recipe("gate.minimum=0.999", RIVAL) if is_worse else promoted.recipe()
    path = promoted.home / "recipe.yaml"
    path.write_text(recipe.model_dump_json(), "utf-8")  # JSON is YAML
    with monkeypatch.context() as patch:
        for name, value in os.environ.items():  # put back what the command sets
            patch.setenv(name, value)
        patch.setenv("REFIT_HOME", str(promoted.home))
        patch.setattr("sys.argv", ["refit", "run", str(path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == code
    assert promoted.alias == "2"
