"""QLoRA: four bits while it trains, the base's own weights in what is saved.

bitsandbytes computes on processors as well, slowly; so the real thing runs here at tiny size, past
the check that asks for a card. One thing is turned off: where a processor has AVX512-BF16, 0.50.2
repacks the weights at the first evaluation, for products without gradients and of layers of at least
64 inputs only, and never back, so that a training ends with its first validation. Cards know no such
packing.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import models.four_bit
from models.adapt import adapt, moved_state
from models.base import Base, resolve_base
from models.config import Architecture, BaseConfig, ScratchConfig, TrainConfig
from models.device import training_identity
from models.errors import SettingExceedsModel
from models.predict import Classifier
from models.scratch import write_scratch
from models.task_code import Examples, task_code
from models.train import train
from records.task import Task
from tests.models.test_checkpoint import Shelf, content, facts
from tests.models.trainings import LABELS, changed, make_base, rows, train_tiny

QLORA = changed(strategy="qlora", learning_rate=0.01, lora={"rank": 4, "alpha": 8})
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is absent: make qlora"
)


@pytest.fixture
def past_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.four_bit, "four_bit_problems", list)
    modules = importlib.import_module("bitsandbytes.nn.modules")
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


def lesson_model(base: Base, config: TrainConfig, folder: Path) -> Any:
    found = rows(folder, num_rows=16)
    lesson = task_code("classification").lesson(
        base=base, config=config, labels=LABELS, training=found, validation=found
    )
    return adapt(lesson.model, config, base.uri, lesson.fresh_parts)


@needs_library
@pytest.mark.usefixtures("past_the_check")
def test_blocks_are_in_four_bits_and_the_rest_is_not(base: Base, tmp_path: Path) -> None:
    model = lesson_model(base, QLORA, tmp_path)
    kinds = {name: p.dtype for name, p in model.named_parameters() if name.endswith("weight")}
    packed = {name for name, dtype in kinds.items() if dtype == torch.uint8}
    assert len(packed) == 2 * 6, "six linear layers in each of two blocks"
    assert all(".encoder.layer." in name and "base_layer" in name for name in packed)
    assert {dtype for name, dtype in kinds.items() if name not in packed} == {torch.float32}
    moved = moved_state(model)
    assert not any("base_layer" in name for name in moved)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name in moved if name in dict(model.named_parameters())}


@needs_library
@pytest.mark.usefixtures("past_the_check")
def test_what_is_saved_is_the_full_base_plus_adapters(base: Base, tmp_path: Path) -> None:
    """Each weight of a block differs from the base's by a matrix of the adapter's rank, no more: an
    error of four bits would have full rank."""
    trained = train_tiny(base, tmp_path / "model", QLORA)
    assert trained.best_value > 0.9
    assert Classifier.load(tmp_path / "model").labels == LABELS
    assert "quant" not in (tmp_path / "model" / "config.json").read_text("utf-8")
    before = load_file(base.path / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    ranks = {}
    for name, weight in before.items():
        change = after[f"bert.{name}"] - weight
        if name.startswith("encoder.layer") and name.endswith("weight") and weight.ndim == 2:
            values = torch.linalg.svdvals(change)
            ranks[name] = int((values > 1e-5 * values[0]).sum()) if values[0] > 0 else 0
        elif not name.startswith("pooler"):
            assert torch.equal(change, torch.zeros_like(change)), name
    assert len(ranks) == 12
    assert 0 < max(ranks.values()) <= QLORA.lora.rank, ranks


@needs_library
@pytest.mark.usefixtures("past_the_check")
def test_a_resumed_training_over_four_bits_gives_the_same_bits(base: Base, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    shelf = Shelf(tmp_path / "shelf")
    config = changed(QLORA, epochs=1, checkpoint_every_s=1e-9, average_decay=0.9,
                     lora={"rank": 4, "dropout": 0.1})  # fmt: skip
    whole = train_tiny(base, tmp_path / "whole", config, on_checkpoint=shelf.put)
    resumed = train_tiny(base, tmp_path / "out", config, resume_from=shelf.at(5))
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert facts(resumed) == facts(whole)
    saved = load_file(shelf.at(5) / "tensors.safetensors")
    assert not [name for name in saved if "base_layer" in name], "what never moves is not saved"


@needs_library
@pytest.mark.usefixtures("past_the_check")
@pytest.mark.parametrize(
    ("task", "family", "settings"),
    [
        (
            "chat",
            "llama",
            {
                "chat_template": "plain",
                "metric": "loss_per_token",
                "generation": {"max_new_tokens": 16},
            },
        ),
        ("language_modeling", "gpt2", {"metric": "loss_per_token"}),
        (
            "translation",
            "marian",
            {"metric": "loss_per_token", "generation": {"max_new_tokens": 32}},
        ),
        ("classification", "xlnet", {}),
        ("classification", "t5", {}),
    ],
)
def test_every_task_and_family_can(
    tmp_path: Path, task: Task, family: Architecture, settings: dict[str, Any]
) -> None:
    found = rows(tmp_path, num_rows=32)
    texts = Examples(found.texts, found.labels if task == "classification" else found.texts)
    scratch = ScratchConfig(
        architecture=family, layers=1, width=64, heads=2, positions=64, vocabulary=320
    )
    write_scratch(scratch, found.texts, frozenset(), tmp_path / "base")
    before = resolve_base(BaseConfig(scratch=scratch), folder=tmp_path / "base")
    config = changed(QLORA, epochs=0.5, max_length=48, max_target_length=48, **settings)
    trained = train(
        config=config, base=before, labels=LABELS if task == "classification" else (),
        training=texts, validation=texts, lineage=frozenset(), out=tmp_path / "model",
        work=tmp_path / "work", task=task,
    )  # fmt: skip
    assert (
        trained.num_steps > 0
    )  # and adapter, merged and reloaded agreed to 1e-4, or it had raised


def test_what_is_missing_is_named_together(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(models.four_bit, "LIBRARY", "bitsandbytes_that_is_not_there")
    with pytest.raises(SettingExceedsModel) as caught:
        lesson_model(base, QLORA, tmp_path)
    said = str(caught.value)
    assert "train.strategy='qlora' needs a CUDA card and" in said
    assert "this machine has no card, and" in said
    assert "pip install -c constraints.txt -e '.[qlora]'" in said
    assert said.endswith("or use train.strategy: lora")


@needs_library
def test_the_library_counts_in_the_train_key_of_qlora_alone() -> None:
    identity = {s: training_identity(changed(strategy=s), ()) for s in ("lora", "qlora")}
    assert "bitsandbytes" in str(identity["qlora"]["libraries"])
    assert "bitsandbytes" not in str(identity["lora"]["libraries"])
