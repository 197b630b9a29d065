"""What each way of fine-tuning trains, at what rate, in what batches; and merged adapters."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

import models.train
from models.adapt import (
    ALL_TRAIN_AT,
    Probe,
    adapt,
    check_same,
    check_targets,
    lora_targets,
    lowest_trained_depth,
    merge,
)
from models.base import Base, resolve_base
from models.config import BaseConfig, ScratchConfig, TrainConfig
from models.depth import parameter_depths
from models.device import has_bf16
from models.encode import TokenGroupedSteps
from models.errors import AdapterDiffers, SettingExceedsModel
from models.optimiser import build_optimiser
from models.predict import Classifier
from models.scratch import write_scratch
from models.step import SizedRow, StepTrainer, split_rows
from models.task_code import Examples
from records.task import Task
from tests.models.test_every_task import train_small
from tests.models.trainings import LABELS, changed, make_base, rows, train_tiny

FAMILIES = ("bert", "gpt2", "llama", "xlnet", "t5")
SHORT = changed(epochs=1)
LORA = changed(strategy="lora", learning_rate=0.01, lora={"rank": 4, "alpha": 8})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    folder = tmp_path_factory.mktemp("families")
    texts = rows(folder).texts
    found = {}
    for name in FAMILIES:
        config = ScratchConfig.model_validate(
            {"architecture": name, "layers": 2, "width": 16, "heads": 2, "positions": 64,
             "vocabulary": 300}
        )  # fmt: skip
        write_scratch(config, texts, frozenset(), folder / name)
        found[name] = resolve_base(BaseConfig(scratch=config), folder=folder / name)
    return found


def load(base: Base) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(base.path, num_labels=2)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return loaded


def moved(base: Base, out: Path) -> set[str]:
    """Weights of the body that training changed."""
    before, after = weights(base.path), weights(out)
    return {n for n, w in before.items() if not torch.equal(after[f"bert.{n}"], w)}


# Depth


@pytest.mark.parametrize("family", FAMILIES)
def test_depth_rises_from_embeddings_over_blocks_to_the_head(
    families: dict[str, Base], family: str
) -> None:
    depths = parameter_depths(load(families[family]))
    top = 5 if family == "t5" else 3  # two blocks, or two and two
    assert set(depths.values()) == set(range(top + 1))
    for name, depth in depths.items():
        if any(part in name for part in ("embedd", "embed_t", "wte", "wpe", "shared")):
            assert depth == 0, name
        if any(part in name for part in ("classifier", "score", "classification_head", "summary")):
            assert depth == top, name
        if any(part in name for part in ("layer.1.", "h.1.", "layers.1.", "decoder.block.1.")):
            assert depth in (top - 1, 1, 2, 3), name
    if family == "t5":
        blocks = [depths[f"transformer.{half}.block.{i}.layer.0.SelfAttention.q.weight"]
                  for half in ("encoder", "decoder") for i in (0, 1)]  # fmt: skip
        assert blocks == [1, 2, 3, 4]


# Head, gradual unfreezing, rates by depth


def test_head_leaves_the_body_as_it_was(base: Base, tmp_path: Path) -> None:
    train_tiny(base, tmp_path / "model", changed(SHORT, strategy="head"))
    assert moved(base, tmp_path / "model") <= {"pooler.dense.weight", "pooler.dense.bias"}
    before, after = load(base).classifier.weight, weights(tmp_path / "model")["classifier.weight"]
    assert not torch.allclose(before, after)


def test_gradual_trains_from_the_top_down(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_moved: dict[int, int] = {}

    class Recording(models.train.Watch):
        start: dict[str, torch.Tensor] | None = None

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self.start is None:
                named = kwargs["model"].named_parameters()
                self.start = {n: p.detach().clone() for n, p in named}

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            model = kwargs["model"]
            assert self.start is not None
            for name, depth in parameter_depths(model).items():
                if not torch.equal(model.get_parameter(name), self.start[name]):
                    first_moved.setdefault(depth, state.global_step - 1)
            super().on_step_end(args, state, control, **kwargs)

    monkeypatch.setattr(models.train, "Watch", Recording)
    config = changed(strategy="gradual", warmup_ratio=0.0)
    trained = train_tiny(base, tmp_path / "model", config)
    assert trained.num_steps == 32
    expected = {
        depth: next(s for s in range(32) if lowest_trained_depth(s, 32, 3) <= depth)
        for depth in range(4)
    }
    assert first_moved == expected == {3: 0, 2: 4, 1: 8, 0: 12}


def test_unfreezing_ends_before_the_training_does() -> None:
    for num_steps, top in ((10, 3), (1000, 13), (7, 25)):
        lowest = [lowest_trained_depth(s, num_steps, top) for s in range(num_steps)]
        assert lowest[0] == top
        assert lowest == sorted(lowest, reverse=True)
        assert lowest[math.ceil(ALL_TRAIN_AT * num_steps)] == 0


def test_rates_fall_with_depth_and_the_heads_is_logged(base: Base) -> None:
    config = TrainConfig(layer_decay=0.5, learning_rate=0.08, weight_decay=0.1)
    model = load(base)
    optimiser = build_optimiser(model, {"classifier.weight"}, config)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    depths = parameter_depths(model)
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.08 * 0.5 ** (3 - depths[name]))
    assert optimiser.param_groups[0]["lr"] == 0.08
    decayed = [p for g in optimiser.param_groups if g["weight_decay"] for p in g["params"]]
    assert [p is model.classifier.weight for p in decayed] == [True]


# LoRA


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lora_learns_and_saves_a_plain_model(base: Base, tmp_path: Path, precision: str) -> None:
    if precision == "bf16" and not has_bf16():
        pytest.skip("this processor has no bf16 products: run on one with AVX512-BF16 or AMX")
    trained = train_tiny(base, tmp_path / "model", changed(LORA, precision=precision))
    assert trained.best_value > 0.9
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {
        "config.json", "lineage.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert not [name for name in weights(tmp_path / "model") if "lora" in name or "base" in name]
    assert Classifier.load(tmp_path / "model").labels == LABELS
    linear = moved(base, tmp_path / "model") - {"pooler.dense.weight", "pooler.dense.bias"}
    assert linear
    assert all(name.startswith("encoder.layer") and name.endswith("weight") for name in linear)


def test_a_merged_weight_is_the_old_one_plus_the_scaled_product(base: Base) -> None:
    """W + (alpha / rank) B A, in float64."""
    config = changed(LORA, lora={"rank": 4, "alpha": 12, "targets": ["query"]})
    model = adapt(load(base), config, "tiny", ()).double()
    layer = model.get_base_model().bert.encoder.layer[1].attention.self.query
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    old, a, b = (
        w.detach().clone()
        for w in (layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    )
    merged = merge(model).bert.encoder.layer[1].attention.self.query.weight
    torch.testing.assert_close(merged.detach(), old + 12 / 4 * b @ a, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_fits_every_family(families: dict[str, Base], tmp_path: Path, family: str) -> None:
    config = changed(LORA, epochs=0.5, max_length=48)
    train_tiny(families[family], tmp_path / "model", config)
    assert Classifier.load(tmp_path / "model").labels == LABELS


@pytest.mark.parametrize("what", ["merged", "reloaded"])
def test_a_merge_that_changes_an_answer_is_not_accepted(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def wrong_merge(model: Any) -> Any:
        plain = model.merge_and_unload()
        plain.classifier.bias.data += 0.01
        return plain

    def wrong_save(model: Any, *arguments: Any) -> None:
        model.classifier.bias.data += 0.01
        save(model, *arguments)
        model.classifier.bias.data -= 0.01

    save = models.train._save
    if what == "merged":
        monkeypatch.setattr(models.train, "merge", wrong_merge)
    else:
        monkeypatch.setattr(models.train, "_save", wrong_save)
    with pytest.raises(AdapterDiffers, match=rf"the {what} model .* logits differ by 0\.01, allow"):
        train_tiny(base, tmp_path / "model", changed(LORA, epochs=0.1))


@pytest.mark.parametrize("what", ["merged", "reloaded"])
@pytest.mark.parametrize(("task", "family"), [("chat", "gpt2"), ("translation", "marian")])
def test_a_merge_that_changes_a_text_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task, family: str, what: str
) -> None:
    """Every logit is as it was; what is made of them is not."""

    def may_write(model: Any, most: int) -> None:
        forbidden = [*range(most, model.config.vocab_size)] or None
        model.generation_config.suppress_tokens = forbidden

    def wrong_merge(model: Any) -> Any:
        plain = model.merge_and_unload()
        may_write(plain, 5)
        return plain

    def wrong_save(model: Any, *arguments: Any) -> None:
        may_write(model, 5)
        save(model, *arguments)
        may_write(model, model.config.vocab_size)

    save = models.train._save
    if what == "merged":
        monkeypatch.setattr(models.train, "merge", wrong_merge)
    else:
        monkeypatch.setattr(models.train, "_save", wrong_save)
    with pytest.raises(
        AdapterDiffers,
        match=rf"the {what} model in 'model' writes unlike its adapter: token 1 of answer \d is",
    ):
        train_small(task, family, tmp_path, "model", strategy="lora")


def test_a_tie_is_no_change_of_a_text() -> None:
    """Two tokens whose logits differ by less than merging may move them may change places."""
    ids, scores = torch.tensor([[0, 1]]), torch.tensor([[[1.0, 0.0], [1.0, 1.0001]]])
    ours, theirs = Probe(scores, ids, scores), Probe(scores, torch.tensor([[0, 0]]), scores)
    check_same(ours, {"merged": theirs}, Path("model"))
    with pytest.raises(AdapterDiffers, match=r"token 1 of answer 1 .* less by 1, allowed 0\.0002;"):
        check_same(ours, {"merged": theirs._replace(ids_BT=torch.tensor([[1, 1]]))}, Path("model"))


def test_lora_targets_that_match_nothing_are_all_named(base: Base) -> None:
    config = changed(LORA, lora={"targets": ["qurey", "value", "zzz"]})
    with pytest.raises(SettingExceedsModel) as caught:
        adapt(load(base), config, "tiny", ())
    said = str(caught.value)
    assert "'qurey' is no linear layer of 'tiny'; did you mean 'query'?" in said
    assert "'zzz' is no linear layer of 'tiny'; known: dense, key, query, value" in said
    assert "'value'" not in said
    with pytest.raises(SettingExceedsModel, match="did you mean 'query'"):
        check_targets(config, base)  # before anything is loaded
    exact = changed(LORA, lora={"targets": ["layer.1.attention.self.query"]})
    assert len(lora_targets(load(base), exact, "tiny")) == 1


def test_qlora_is_refused_without_a_card(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingExceedsModel, match=r"'qlora' needs a CUDA card .* use .*: lora"):
        train_tiny(base, tmp_path / "model", changed(strategy="qlora"))


# Batches: tokens, and memory


LENGTHS: list[int] = torch.randint(
    3, 60, (500,), generator=torch.Generator().manual_seed(0)
).tolist()


def test_steps_of_tokens_hold_every_row_once_within_the_limit() -> None:
    steps = TokenGroupedSteps(LENGTHS, tokens_per_step=240, seed=3)
    epochs = []
    for epoch in range(2):
        steps.set_epoch(epoch)
        epochs.append(list(steps))
        assert sorted(i for step in epochs[-1] for i in step) == list(range(500))
        assert all(len(s) * max(LENGTHS[i] for i in s) <= 240 for s in epochs[-1])
        assert len(epochs[-1]) == len(steps)
    assert epochs[0] != epochs[1]
    assert len(steps) < 1.1 * sum(LENGTHS) / 240  # little of a batch is padding
    steps.set_epoch(0)
    assert list(steps) == epochs[0]


def test_steps_of_many_rows_have_few_shapes_and_lose_little() -> None:
    lengths = LENGTHS * 10
    steps = TokenGroupedSteps(lengths, tokens_per_step=2000, seed=3)
    assert {size % 8 for size in steps.sizes[:-1] if size >= 32} == {0}
    assert len(steps) < 1.15 * sum(lengths) / 2000


def test_a_step_is_split_by_rows_or_by_padded_tokens() -> None:
    lines = [SizedRow({}, length) for length in (5, 5, 4, 1, 9)]

    def sizes(limit: int, *, in_tokens: bool) -> list[int]:
        return [len(part) for part in split_rows(lines, limit, in_tokens=in_tokens)]

    assert sizes(2, in_tokens=False) == [2, 2, 1]
    assert sizes(10, in_tokens=True) == [2, 2, 1]
    assert sizes(20, in_tokens=True) == [4, 1]
    assert sizes(1, in_tokens=True) == [1] * 5


def test_a_batch_of_tokens_must_hold_the_longest_text() -> None:
    with pytest.raises(ValidationError, match=r"batch_tokens=16 cannot hold one text of max_len"):
        changed(batch_tokens=16)


def test_tokens_in_two_batches_give_the_weights_of_one(base: Base, tmp_path: Path) -> None:
    one = changed(SHORT, batch_tokens=80, max_length=32)
    two = changed(SHORT, batch_tokens=40, max_length=32, accumulation=2)
    first = train_tiny(base, tmp_path / "one", one)
    second = train_tiny(base, tmp_path / "two", two)
    assert first.num_steps == second.num_steps > 8
    check_close(tmp_path / "one", tmp_path / "two")


def check_close(one: Path, two: Path) -> None:
    expected, found = weights(one), weights(two)
    for name, value in expected.items():
        if not name.endswith("key.bias"):  # softmax ignores it: AdamW there magnifies rounding
            torch.testing.assert_close(found[name], value, atol=2e-4, rtol=0, msg=name)


class SmallMemory:
    """A machine on which a batch of more than `most` rows does not fit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: list[int] = []

    def fault(self, plain: Any) -> Any:
        def training_step(
            trainer: Any, model: Any, inputs: Any, num_items_in_batch: Any = None
        ) -> Any:
            num_rows = len(inputs["labels"])
            self.seen.append(num_rows)
            if num_rows > self.most:
                torch.rand(3)  # a forward pass draws before it dies
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return plain(trainer, model, inputs, num_items_in_batch)

        return training_step


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> SmallMemory:
    memory = SmallMemory(3)
    parent = StepTrainer.__mro__[2]  # transformers' own, which trains one batch
    monkeypatch.setattr(parent, "training_step", memory.fault(parent.training_step))
    return memory


def test_out_of_memory_halves_the_batch_and_keeps_the_step(
    base: Base, tmp_path: Path, small_memory: SmallMemory
) -> None:
    small_memory.most = 10**6
    whole = train_tiny(base, tmp_path / "whole", SHORT)
    small_memory.most, small_memory.seen = 3, []
    halved = train_tiny(base, tmp_path / "halved", SHORT)
    assert small_memory.seen == [8, 4, *[2] * 4 * 16]  # 8 do not fit, nor 4; then steps of 4 x 2
    assert halved.num_steps == whole.num_steps == 16
    limits = [(p.step, p.value) for p in halved.curve if p.name == "batch_limit"]
    assert limits == [(0, 4), (0, 2)]
    check_close(tmp_path / "whole", tmp_path / "halved")
    for name in ("loss", "grad_norm"):
        expected, found = ([p.value for p in t.curve if p.name == name] for t in (whole, halved))
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_what_does_not_fit_alone_is_a_fault(
    base: Base, tmp_path: Path, small_memory: SmallMemory
) -> None:
    small_memory.most = 0
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        train_tiny(base, tmp_path / "model", SHORT)
    assert small_memory.seen == [8, 4, 2, 1]


def test_a_loss_over_pairs_of_a_step_is_not_split_where_memory_ends(
    base: Base, tmp_path: Path, small_memory: SmallMemory
) -> None:
    """Halves of a step see other pairs, and single rows see none: that would be another training."""
    small_memory.most = 4
    with pytest.raises(SettingExceedsModel, match=r"no memory for a step of 8 texts.*batch_size"):
        train_tiny(base, tmp_path / "model", changed(SHORT, strategy="contrastive"))
    assert small_memory.seen == [8]


def test_a_rare_label_weighs_more_where_classes_are_balanced(base: Base, tmp_path: Path) -> None:
    """Of rows that say nothing, each is given the label that weighs more."""
    data = Examples(["the thing is"] * 240, ["negative"] * 180 + ["positive"] * 60)
    found = {}
    for weights_ in ("equal", "balanced"):
        config = changed(epochs=1, class_weights=weights_)  # validated at the end alone
        train_tiny(base, tmp_path / weights_, config, training=data, validation=data)
        model = Classifier.load(tmp_path / weights_)
        found[weights_] = float(model.probabilities(["the thing is"])[0][0, 1])
    assert found["equal"] == pytest.approx(0.25, abs=0.1)
    assert found["balanced"] > found["equal"] + 0.1


PAIRS = Examples(
    [f"the thing{i} is {w}" for i, w in enumerate(("good", "bad") * 40)],
    [f"das ding{i} ist {w}" for i, w in enumerate(("gut", "schlecht") * 40)],
)


@pytest.mark.parametrize("strategy", ["lora", "gradual"])
def test_translation_gets_them_for_free(tmp_path: Path, strategy: str) -> None:
    config = ScratchConfig.model_validate(
        {"architecture": "marian", "layers": 1, "width": 16, "heads": 2, "positions": 64,
         "vocabulary": 400}
    )  # fmt: skip
    write_scratch(config, [*PAIRS.texts, *PAIRS.labels], frozenset(), tmp_path / "base")
    base = resolve_base(BaseConfig(scratch=config), folder=tmp_path / "base")
    how = changed(
        strategy=strategy, epochs=3, learning_rate=0.01, metric="loss_per_token", batch_tokens=256,
        max_target_length=32, layer_decay=0.9, generation={"max_new_tokens": 32}, lora={"rank": 4},
    )  # fmt: skip
    trained = train_tiny(
        base, tmp_path / "model", how, task="translation", labels=(), training=PAIRS,
        validation=PAIRS,
    )  # fmt: skip
    losses = [p.value for p in trained.curve if p.name == "validation_loss_per_token"]
    assert losses[-1] < losses[0]
    assert not [name for name in weights(tmp_path / "model") if "lora" in name]
