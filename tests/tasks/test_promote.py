"""Promote, exactly once, or not at all."""

import pytest

from records.document import TrainResult
from records.evaluation import IndexEntry
from records.ledger import LedgerEntry
from tasks.decide import decide_challenger
from tasks.ledger import ChampionChanged, NameClaimed, append, claim_name
from tasks.objects import CorruptObject, MissingObject
from tasks.promote import draft_entry, promote
from tests.world import NAME, RIVAL, World, flip_byte

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def decide(world: World) -> tuple[TrainResult, IndexEntry]:
    """A decision on the rival, not acted upon yet."""
    recipe = world.recipe(RIVAL)
    rival = world.train(recipe)
    key = world.evaluate(recipe, rival)
    entry, _ = decide_challenger.fn(
        world.place, NAME, world.data(recipe), key, recipe.gate.policy, "1", rival.train_key
    )
    assert entry.verdict == "promote", entry.summary
    return rival, entry


def promote_it(
    world: World, train: TrainResult, digest: str, recipe_name: str = NAME
) -> LedgerEntry:
    return promote.fn(world.place, NAME, recipe_name, train, digest, "# card", "ann", "because")


def test_promote_twice_makes_one_version_and_one_entry(promoted: World) -> None:
    rival, decision = decide(promoted)
    first = promote_it(promoted, rival, decision.decision_digest)
    after = promoted.throne()
    assert promote_it(promoted, rival, decision.decision_digest) == first
    assert promoted.throne() == after
    assert [entry.version for entry in promoted.entries] == ["1", "2", "3"]
    digests = [v.tags["refit.model_digest"] for v in promoted.registry.versions(NAME)]
    assert len(set(digests)) == len(digests) == 3


def test_promote_finds_its_own_entry_below_later_ones(promoted: World) -> None:
    """A run that crashed after its append, and came back when others had gone on."""
    rival, decision = decide(promoted)
    first = promote_it(promoted, rival, decision.decision_digest)
    hold = draft_entry(action="hold", actor="ann", reason="")
    append(promoted.store, NAME, hold, decided_against=first)
    assert promote_it(promoted, rival, decision.decision_digest) == first
    assert len(promoted.entries) == 4


def test_promote_after_another_entry_says_that_the_champion_changed(promoted: World) -> None:
    rival, decision = decide(promoted)
    rebase = draft_entry(action="hold", actor="ann", reason="")
    append(promoted.store, NAME, rebase, decided_against=promoted.entries[-1])
    entries = promoted.entries
    with pytest.raises(ChampionChanged, match="decide again"):
        promote_it(promoted, rival, decision.decision_digest)
    assert promoted.entries == entries
    assert promoted.alias == "2"


def test_promote_refuses_a_decision_about_another_challenger(promoted: World) -> None:
    before = promoted.throne()
    live = promoted.entries[-1]
    rival = promoted.train(promoted.recipe(RIVAL))
    with pytest.raises(ValueError, match="is about another challenger"):
        promote_it(promoted, rival, live.decision_digest)
    assert promoted.throne() == before


def test_promote_refuses_a_refusal(promoted: World) -> None:
    recipe = promoted.recipe(RIVAL, "gate.minimum=0.9999")
    rival = promoted.train(recipe)
    key = promoted.evaluate(recipe, rival)
    entry, _ = decide_challenger.fn(
        promoted.place, NAME, promoted.data(recipe), key, recipe.gate.policy, "1", rival.train_key
    )
    before = promoted.throne()
    with pytest.raises(ValueError, match="it promotes nothing"):
        promote_it(promoted, rival, entry.decision_digest)
    assert promoted.throne() == before


def test_promote_refuses_a_name_of_another_recipe(promoted: World) -> None:
    rival, decision = decide(promoted)
    before = promoted.throne()
    with pytest.raises(NameClaimed, match=f"belongs to recipe '{NAME}'"):
        promote_it(promoted, rival, decision.decision_digest, recipe_name="thief")
    assert promoted.throne() == before


def test_promote_names_nothing_that_is_gone(promoted: World) -> None:
    rival, decision = decide(promoted)
    before = promoted.throne()
    promoted.store.delete(f"{rival.model_key}/model.safetensors")
    with pytest.raises(MissingObject, match="is gone"):
        promote_it(promoted, rival, decision.decision_digest)
    assert promoted.throne() == before


def test_promote_names_nothing_that_was_changed(promoted: World) -> None:
    rival, decision = decide(promoted)
    before = promoted.throne()
    flip_byte(promoted.path(f"{rival.model_key}/model.safetensors"))
    with pytest.raises(CorruptObject, match="its manifest says"):
        promote_it(promoted, rival, decision.decision_digest)
    assert promoted.throne() == before


def test_the_recipe_that_promoted_first_owns_the_name(promoted_world: World) -> None:
    claim_name(promoted_world.store, NAME, NAME, "classification")
    with pytest.raises(NameClaimed, match="not to 'thief'"):
        claim_name(promoted_world.store, NAME, "thief", "classification")
