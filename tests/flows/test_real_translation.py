"""The recipes for real pairs at a size that ends in a minute: they learn, and the source is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from flows.recipe import parse_recipe
from records.document import DecisionDocument
from tests.conftest import ROOT, shared_data
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

SMALL = (
    "base.scratch.layers=1", "base.scratch.width=64", "base.scratch.feed_forward=128",
    "base.scratch.vocabulary=1000", "train.epochs=1", "train.batch_tokens=1024",
    "train.average_decay=0", "train.learning_rate=0.004", "train.dropout=0.0",
    "train.generation.beams=1", "train.generation.max_new_tokens=24", "gate.minimum=0.01",
)  # fmt: skip


def run_small(name: str, folder: Path) -> tuple[World, DecisionDocument]:
    """A shipped recipe on all of its data, small in everything else."""
    text = (ROOT / "deployments" / "recipes" / f"{name}.yaml").read_text("utf-8")
    values = yaml.safe_load(text.replace(" data/", f" {shared_data()}/"))
    world = World(folder / "home", folder)
    world.home.mkdir()
    world.run(parse_recipe(values, SMALL))
    file = next(world.path(f"reports/{name}").glob("*/document.json"))
    return world, DecisionDocument.from_json(file.read_bytes())


def loss_per_token(model_path: Path, sources: list[str], targets: list[str]) -> float:
    """Mean over target tokens, nats, as any user of the folder would compute it."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(model_path).eval()
    batch = tokenizer(text=sources, text_target=targets, padding=True, return_tensors="pt")
    labels = batch.pop("labels")
    labels[labels == tokenizer.pad_token_id] = -100
    with torch.inference_mode():
        return float(model(**batch, labels=labels).loss)


def captions() -> list[list[str]]:
    folder = shared_data("multi30k") / "tok_lc"
    sides = (f"val.lc.norm.tok.{language}" for language in ("en", "de"))
    english, german = ((folder / side).read_text("utf-8").splitlines() for side in sides)
    return [[a, b] for a, b in zip(english, german, strict=True)][::5]


def sentences() -> list[list[str]]:
    lines = (shared_data("tatoeba_zh_en") / "cmn.txt").read_text("utf-8").splitlines()
    return [line.split("\t")[:2] for line in lines[::140]]


@pytest.mark.parametrize(
    ("name", "pairs", "tokens"), [("multi30k", captions, "13a"), ("tatoeba", sentences, "zh")]
)
def test_a_recipe_learns_to_read_the_source(
    name: str, pairs: Callable[[], list[list[str]]], tokens: str, tmp_path: Path,
    prefect_server: None,
) -> None:  # fmt: skip
    """After one epoch the right source tells more of a target than the source beside it does."""
    world, document = run_small(name, tmp_path)
    record = document.file.record
    assert f"tok:{tokens}" in record.challenger.fingerprint.signatures["bleu"]
    sources, targets = map(list, zip(*pairs(), strict=True))
    folder = world.path(document.train.model_key)
    right = loss_per_token(folder, sources, targets)
    wrong = loss_per_token(folder, sources[1:] + sources[:1], targets)
    assert right < wrong - 0.5
