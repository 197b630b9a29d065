"""Training: the same from the same seed, the best weights kept, and every setting does its work."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config

import models.train
from models.base import LINEAGE_FILE, Base, folder_digest, read_lineage, resolve_base
from models.config import BaseConfig
from models.encode import LengthGroupedSampler
from models.errors import SettingExceedsModel, TrainingDiverged, UnknownBase
from models.lesson import dropout_overrides
from models.predict import Classifier
from models.progress import Progress
from models.task_code import Examples
from models.train import Trained
from models.watch import Watch
from records.document import CurvePoint
from tests.models.trainings import LABELS, changed, make_base, rows, train_tiny, turned

GOLDEN_LOSS = 0.0114267
GOLDEN_LOG_LOSS = 0.0108050


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def model(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned; read it, never write to it."""
    out = tmp_path_factory.mktemp("trained") / "model"
    train_tiny(base, out)
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return loaded


def curve(trained: Trained, name: str) -> dict[int, float]:
    return {point.step: point.value for point in trained.curve if point.name == name}


def log_loss(folder: Path, data: Examples) -> float:
    """Of a saved model, from the definition."""
    classifier = Classifier.load(folder)
    probabilities, _ = classifier.probabilities(data.texts)
    columns = [classifier.labels.index(y) for y in data.labels]
    logs = [math.log(row[c]) for row, c in zip(probabilities, columns, strict=True)]
    return -sum(logs) / len(logs)


def test_train_reproduces_the_golden_loss(base: Base, tmp_path: Path) -> None:
    """A refactor must not move these; a change that should says so in docs/log.md."""
    trained = train_tiny(base, tmp_path / "model")
    assert curve(trained, "loss")[trained.num_steps] == pytest.approx(GOLDEN_LOSS, abs=1e-5)
    found = curve(trained, "validation_log_loss")[trained.num_steps]
    assert found == pytest.approx(GOLDEN_LOG_LOSS, abs=1e-5)
    assert trained.best_value == 1.0


def test_train_gives_equal_files_from_equal_seeds_wherever_they_lie(
    base: Base, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere" / "deeper").mkdir(parents=True)
    other_base = make_base(tmp_path / "elsewhere" / "base")
    out = tmp_path / "elsewhere" / "deeper" / "model"
    train_tiny(other_base, out)
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(path.name for path in model.iterdir())
    assert all((out / n).read_bytes() == (model / n).read_bytes() for n in names)
    assert folder_digest(out) == folder_digest(model)
    places = [str(tmp_path), str(model.parent), str(base.path)]
    assert not [n for n in names for p in places if p.encode() in (out / n).read_bytes()]


def test_train_gives_other_weights_from_another_seed(
    base: Base, model: Path, tmp_path: Path
) -> None:
    train_tiny(base, tmp_path / "model", changed(seed=2))
    assert folder_digest(tmp_path / "model") != folder_digest(model)
    assert not torch.equal(
        weights(tmp_path / "model")["classifier.weight"], weights(model)["classifier.weight"]
    )


def test_train_saves_safetensors_and_no_pickle(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == {
        "config.json",
        "lineage.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_train_names_its_outputs_in_the_order_of_the_labels(base: Base, tmp_path: Path) -> None:
    train_tiny(base, tmp_path / "model", labels=("positive", "negative"))
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "positive", "1": "negative"}
    assert config["label2id"] == {"positive": 0, "negative": 1}
    data = rows(tmp_path, num_rows=40, first=900)
    classifier = Classifier.load(tmp_path / "model")
    best = classifier.probabilities(data.texts)[0].argmax(axis=1)
    assert [classifier.labels[k] for k in best] == data.labels


def test_train_draws_a_fresh_head_over_a_trained_one(
    base: Base, model: Path, tmp_path: Path
) -> None:
    """The old head answers by index; with the same number of other labels it would be loaded."""
    still = changed(learning_rate=1e-12, epochs=0.1, weight_decay=0)
    again = resolve_base(BaseConfig(model=str(model)))
    for seed in (1, 2):
        train_tiny(again, tmp_path / f"{seed}", changed(still, seed=seed), labels=("a", "b"),
                   training=Examples(["good", "bad"] * 8, ["a", "b"] * 8),
                   validation=Examples(["good", "bad"], ["a", "b"]))  # fmt: skip
    old, first, second = weights(model), weights(tmp_path / "1"), weights(tmp_path / "2")
    body = "bert.encoder.layer.0.attention.self.query.weight"
    torch.testing.assert_close(first[body], old[body])
    head = "classifier.weight"
    assert not torch.allclose(first[head], old[head], atol=1e-3)
    assert not torch.allclose(first[head], second[head], atol=1e-3)
    assert 0.1 < float(first[head].std()) < 0.3  # the configuration's initializer_range is 0.2


def test_train_keeps_the_best_weights_of_a_run_that_gets_worse(base: Base, tmp_path: Path) -> None:
    """Validation labels are the wrong way round: whatever is learned makes its loss grow."""
    validation = turned(rows(tmp_path, num_rows=64, first=500))
    config = changed(metric="log_loss", evaluations_per_epoch=4)
    trained = train_tiny(base, tmp_path / "model", config, validation=validation)
    losses = curve(trained, "validation_log_loss")
    assert list(losses) == [4, 8, 12, 16, 20, 24, 28, 32]
    assert losses[trained.num_steps] > 4
    assert trained.best_step < trained.num_steps
    assert trained.best_value == losses[trained.best_step] == min(losses.values())
    kept = log_loss(tmp_path / "model", validation)
    assert kept == pytest.approx(trained.best_value, abs=1e-5)


def test_train_keeps_the_first_of_equal_accuracies(base: Base, tmp_path: Path) -> None:
    trained = train_tiny(base, tmp_path / "model", changed(evaluations_per_epoch=8))
    values = curve(trained, "validation_accuracy")
    assert trained.best_value == max(values.values()) == 1.0
    assert trained.best_step == min(step for step, value in values.items() if value == 1.0)
    assert sum(value == 1.0 for value in values.values()) > 1
    found = curve(trained, "validation_log_loss")[trained.best_step]
    kept = log_loss(tmp_path / "model", rows(tmp_path, num_rows=64, first=500))
    assert kept == pytest.approx(found, abs=1e-5)


def test_train_stops_early_after_validations_that_are_not_better(
    base: Base, tmp_path: Path
) -> None:
    config = changed(metric="log_loss", evaluations_per_epoch=4, early_stopping=3, epochs=20)
    validation = turned(rows(tmp_path, num_rows=64, first=500))
    trained = train_tiny(base, tmp_path / "model", config, validation=validation)
    losses = curve(trained, "validation_log_loss")
    assert trained.num_steps == max(losses) == trained.best_step + 3 * 4 < 320
    assert min(losses.values()) == losses[trained.best_step]


def test_average_decay_keeps_the_moving_average_and_leaves_the_training_alone(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Recording(Watch):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            named = kwargs["model"].named_parameters()
            seen.append({n: p.detach().double().clone() for n, p in named})
            super().on_step_end(args, state, control, **kwargs)

    monkeypatch.setattr(models.train, "Watch", Recording)
    once = changed(epochs=1, evaluations_per_epoch=4)
    train_tiny(base, tmp_path / "plain", once)
    plain, seen[:] = list(seen), []
    decay = 0.6
    trained = train_tiny(base, tmp_path / "averaged", changed(once, average_decay=decay))
    assert trained.best_step > 4  # validating between put the trained weights back
    assert all(torch.equal(a[n], b[n]) for a, b in zip(plain, seen, strict=True) for n in a)
    average = seen[0]
    for step, parameters in enumerate(seen[1 : trained.best_step], 2):
        d = min(decay, (1 + step) / (10 + step))
        average = {n: d * average[n] + (1 - d) * p for n, p in parameters.items()}
    saved = weights(tmp_path / "averaged")
    for name, expected in average.items():
        torch.testing.assert_close(saved[name].double(), expected, atol=1e-6, rtol=1e-5)
    assert any(
        not torch.allclose(seen[trained.best_step - 1][n].float(), saved[n], atol=1e-4)
        for n in saved
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_accumulation_gives_the_loss_gradients_and_weights_of_the_big_batch(
    base: Base, tmp_path: Path, smoothing: float
) -> None:
    """The Trainer left alone gives twice the loss and twice the gradients here."""
    once = changed(epochs=1, learning_rate=1e-3, label_smoothing=smoothing, max_grad_norm=1e9)
    big = train_tiny(base, tmp_path / "big", changed(once, batch_size=16))
    two = train_tiny(base, tmp_path / "two", changed(once, batch_size=8, accumulation=2))
    assert big.num_steps == two.num_steps == 8
    for name in ("loss", "grad_norm"):
        assert list(curve(two, name).values()) == pytest.approx(
            list(curve(big, name).values()), rel=1e-3, abs=1e-5
        )
    assert 0.6 < curve(big, "loss")[1] < 0.8
    expected, found = weights(tmp_path / "big"), weights(tmp_path / "two")
    for name, value in expected.items():
        if not name.endswith("key.bias"):  # softmax ignores it: AdamW there magnifies rounding
            torch.testing.assert_close(found[name], value, atol=1e-4, rtol=0)
    start: dict[str, torch.Tensor] = load_file(base.path / "model.safetensors")
    moved = [float((expected[f"bert.{n}"] - w).abs().max()) for n, w in start.items()]
    assert max(moved) > 2e-3


def spoiled_base(folder: Path, value: float) -> Base:
    """The tiny base with one weight set to `value`."""
    make_base(folder)
    loaded = weights(folder)
    loaded["encoder.layer.0.intermediate.dense.weight"][0, 0] = value
    save_file(loaded, folder / "model.safetensors", metadata={"format": "pt"})
    return resolve_base(BaseConfig(model=str(folder)))


def test_train_ends_and_names_the_setting_when_the_loss_is_not_finite(tmp_path: Path) -> None:
    base = spoiled_base(tmp_path / "base", math.inf)
    with pytest.raises(
        TrainingDiverged, match=r"training loss is nan at step 1 of 32; lower train\.learning_rate"
    ) as caught:
        train_tiny(base, tmp_path / "model", changed(learning_rate=1))
    assert "learning_rate=1 " in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_train_ends_when_only_the_last_step_broke_the_weights(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(Watch):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == state.max_steps:
                kwargs["model"].classifier.bias.data.fill_(math.nan)
            super().on_step_end(args, state, control, **kwargs)

    monkeypatch.setattr(models.train, "Watch", Breaking)
    with pytest.raises(TrainingDiverged, match=r"validation loss is nan at step 16; lower train"):
        train_tiny(base, tmp_path / "model", changed(epochs=1))
    assert not (tmp_path / "model").exists()


def test_train_refuses_a_length_over_the_positions(base: Base, tmp_path: Path) -> None:
    with pytest.raises(
        SettingExceedsModel, match=r"max_length=65 exceeds the 64 positions .* lower train\.max_len"
    ):
        train_tiny(base, tmp_path / "model", changed(max_length=65))
    train_tiny(base, tmp_path / "model", changed(max_length=64, epochs=0.1))


def test_train_counts_the_texts_that_it_cuts(base: Base, tmp_path: Path) -> None:
    exact, over = " ".join(["good"] * 30), " ".join(["bad"] * 31)  # 32 and 33 with [CLS], [SEP]
    training = Examples([exact, over, over, "good"], ["positive", "negative"] * 2)
    validation = Examples([over, exact], ["negative", "positive"])
    trained = train_tiny(
        base, tmp_path / "model", changed(epochs=0.1), training=training, validation=validation
    )
    assert trained.num_truncated == {"train": 2, "validation": 1}


def test_train_reports_every_point_and_step_as_it_comes(base: Base, tmp_path: Path) -> None:
    points: list[CurvePoint] = []
    steps: list[Progress] = []
    trained = train_tiny(
        base, tmp_path / "model", changed(epochs=1), on_log=points.append, on_progress=steps.append
    )
    assert tuple(points) == trained.curve
    assert [p.step for p in steps] == list(range(1, 17))
    assert {p.num_steps for p in steps} == {16}
    assert steps[-1].seconds_left == 0
    assert math.isfinite(steps[-1].loss)
    assert min(trained.samples_per_s, trained.tokens_per_s, trained.wall_s) > 0
    assert (trained.dtype, trained.num_steps) == ("fp32", 16)


def test_train_visits_every_row_once_an_epoch_in_another_order(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[list[int]] = []

    class Recording(LengthGroupedSampler):
        def __iter__(self) -> Any:
            orders.append([])
            for row in super().__iter__():
                orders[-1].append(row)
                yield row

    monkeypatch.setattr(models.train, "LengthGroupedSampler", Recording)
    train_tiny(base, tmp_path / "model")
    assert [sorted(order) for order in orders] == [list(range(128))] * 2
    assert orders[0] != orders[1]


def test_lineage_holds_the_rows_and_those_of_the_base(
    base: Base, model: Path, tmp_path: Path
) -> None:
    content = json.loads((model / LINEAGE_FILE).read_text("utf-8"))
    assert content == {"groups": ["row group"], "is_complete": False}  # whose base is unknown
    again = resolve_base(BaseConfig(model=str(model)))
    assert again.groups == {"row group"}
    train_tiny(again, tmp_path / "model", changed(epochs=0.1), lineage=frozenset({"new", "b"}))
    assert read_lineage(tmp_path / "model") == (frozenset({"row group", "new", "b"}), False)


def test_lineage_is_complete_over_a_base_whose_lineage_is(model: Path, tmp_path: Path) -> None:
    known = Base(
        uri="known", path=model, digest="", groups=frozenset({"old"}), is_lineage_known=True
    )
    train_tiny(known, tmp_path / "model", changed(epochs=0.1))
    assert read_lineage(tmp_path / "model") == (frozenset({"row group", "old"}), True)


def test_train_sets_the_dropout_that_is_asked_for(base: Base, tmp_path: Path) -> None:
    train_tiny(base, tmp_path / "model", changed(dropout=0.25, epochs=0.1))
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.25
    only = changed(dropout=0.25, attention_dropout=0.0, epochs=0.1)
    train_tiny(base, tmp_path / "only", only)
    config = json.loads((tmp_path / "only" / "config.json").read_text("utf-8"))
    assert config["hidden_dropout_prob"] == 0.25
    assert config["attention_probs_dropout_prob"] == 0.0


def test_an_attention_dropout_that_a_family_does_not_have_is_refused() -> None:
    said = r"train\.attention_dropout=0\.0: 't5' has one rate for all its layers; leave it out"
    with pytest.raises(SettingExceedsModel, match=said):
        dropout_overrides(T5Config(), changed(attention_dropout=0.0))


def test_train_refuses_a_base_with_broken_weights(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    file = base.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UnknownBase, match=r"cannot be made a classifier"):
        train_tiny(base, tmp_path / "model")


def test_train_refuses_a_base_without_a_tokenizer(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base.path / name).unlink()
    with pytest.raises(UnknownBase, match=r"'base' has no tokenizer: none of tokenizer"):
        train_tiny(base, tmp_path / "model")


def test_train_never_runs_code_from_the_base(tmp_path: Path) -> None:
    """auto_map is what would be imported, were remote code trusted."""
    base, trap = make_base(tmp_path / "base"), tmp_path / "ran"
    (base.path / "trap.py").write_text(f"open({str(trap)!r}, 'w')\nraise SystemExit\n", "utf-8")
    config = json.loads((base.path / "config.json").read_text("utf-8"))
    classes = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoTokenizer")
    config["auto_map"] = {name: f"trap.Trap{name}" for name in classes}
    (base.path / "config.json").write_text(json.dumps(config), "utf-8")
    train_tiny(base, tmp_path / "model", changed(epochs=0.1))  # its own architecture is known
    config["model_type"] = "trap"
    (base.path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(UnknownBase, match=r"cannot be"):
        train_tiny(base, tmp_path / "other")
    assert not trap.exists()


def test_train_learns_what_it_is_shown(model: Path, tmp_path: Path) -> None:
    data = rows(tmp_path, num_rows=100, first=1000)
    assert log_loss(model, data) < 0.1
    assert log_loss(model, turned(data)) > 2
    assert Classifier.load(model).labels == LABELS


def test_train_in_bf16_learns_the_same_and_saves_full_precision(base: Base, tmp_path: Path) -> None:
    """On a processor too, where the Trainer refuses bf16 unless it is told of the processor."""
    trained = train_tiny(base, tmp_path / "model", changed(precision="bf16"))
    assert (trained.dtype, trained.best_value) == ("bf16", 1.0)
    dtypes = {tensor.dtype for tensor in weights(tmp_path / "model").values()}
    assert dtypes == {torch.float32}
