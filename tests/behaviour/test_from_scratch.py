"""From nothing to a decision: every family of classifiers through the whole flow, offline."""

from pathlib import Path

import mlflow
import pytest

from flows.recipe import RecipeError, parse_recipe
from models.base import read_lineage
from models.predict import Classifier
from records.document import DecisionDocument
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXTS = ["Not what I hoped for.", "质量很好。", "word " * 500]


def recipe_values(architecture: str) -> dict[str, object]:
    return {
        "name": f"from-{architecture}",
        "data": {"train": "sample:reviews?num=300", "test": "sample:reviews?seed=8&num=120"},
        "base": {
            "scratch": {
                "architecture": architecture, "layers": 1, "width": 16, "heads": 2,
                "positions": 64, "vocabulary": 600,
            }
        },
        "train": {"epochs": 1, "learning_rate": 0.003, "max_length": 64, "precision": "fp32"},
        "gate": {"minimum": 0.6, "min_items": 100},
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> World:
    mlflow.set_system_metrics_sampling_interval(1)  # a tiny training ends before the usual 10 s
    folder = tmp_path_factory.mktemp("scratch")
    return World(folder / "home", folder)


@pytest.mark.parametrize("architecture", ["gpt2", "xlnet", "t5"])
def test_a_family_from_scratch_ends_in_a_decision_and_serves(
    world: World, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse_recipe(recipe_values(architecture))
    result = world.run(recipe)
    assert result.outcome == "refused"  # one epoch on 300 rows does not beat a bag of words
    assert result.decision_digest
    file = next(world.path(f"reports/{recipe.name}").glob("*/document.json"))
    document = DecisionDocument.from_json(file.read_bytes())
    states = {f.rule: f.state for f in document.file.decision.findings}
    assert states["parity"] == "passed", states
    assert document.train.base == f"scratch:{architecture}"
    assert document.train.base_lineage_known
    folder = world.path(document.train.model_key)
    groups, is_complete = read_lineage(folder)
    assert is_complete
    assert len(groups) > 250
    # As whoever needs the model gets it.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    version = world.registry.register(
        name=recipe.name, model_path=folder, model_digest=document.train.model_digest,
        run_id=document.train.mlflow_run_id, description="", tags={},
    )  # fmt: skip
    pipeline = mlflow.transformers.load_model(f"models:/{recipe.name}/{version}", truncation=True)
    classifier = Classifier.load(folder)
    probabilities, _ = classifier.probabilities(TEXTS)
    for answer, row in zip(pipeline(TEXTS), probabilities, strict=True):
        assert answer["label"] == classifier.labels[int(row.argmax())]
        assert answer["score"] == pytest.approx(row.max(), abs=1e-5)


def test_the_same_again_makes_no_second_base(world: World) -> None:
    recipe = parse_recipe(recipe_values("gpt2"))
    first = world.run(recipe)
    bases = sorted(path.name for path in world.path("bases").iterdir())
    again = world.run(recipe)
    assert again.outcome == "unchanged", again.summary
    assert again.decision_digest == first.decision_digest
    assert sorted(path.name for path in world.path("bases").iterdir()) == bases


def test_a_recipe_says_what_a_scratch_base_cannot_be() -> None:
    values = recipe_values("marian")
    with pytest.raises(RecipeError) as caught:
        parse_recipe(values, ["train.max_length=65", "base.scratch.positions=64"])
    said = str(caught.value)
    assert "'marian' has no head for classification; use bert" in said
    assert "train.max_length: 65 exceeds base.scratch.positions=64" in said
    with pytest.raises(RecipeError, match=r"base\.scratch\.widht: unknown key; did you mean"):
        parse_recipe(recipe_values("bert"), ["base.scratch.widht=64"])
    with pytest.raises(RecipeError, match=r"base\.scratch: width=30 is not divisible by heads=4"):
        parse_recipe(recipe_values("bert"), ["base.scratch.width=30", "base.scratch.heads=4"])
    parse_recipe(recipe_values("xlnet"), ["train.max_length=500"])  # no positions to exceed


def test_no_family_has_a_flow_of_its_own() -> None:
    """One flow trains, and neither it nor its steps know a family by name."""
    root = Path(__file__).parents[2]
    sources = [p for room in ("flows", "tasks") for p in (root / room).glob("*.py")]
    code = {path.name: path.read_text("utf-8") for path in sources}
    assert [n for n, text in code.items() if "train_challenger(" in text and "@flow" in text] == [
        "retrain.py"
    ]
    for name, text in code.items():
        assert not [f for f in ("xlnet", "gpt2", "llama", "marian") if f in text.lower()], name
