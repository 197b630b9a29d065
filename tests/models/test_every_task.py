"""Every task with every architecture that it names: trained, saved, loaded and scored, the same way."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.base import resolve_base
from models.config import BaseConfig, ScratchConfig, TrainConfig
from models.scoring import ScoringRequest, score
from models.scratch import write_scratch
from models.task_code import Examples, task_code
from models.train import Trained, train
from records.scores import TestItems
from records.task import TASKS, Task

TEXTS = ["The lamp is red.", "The old chair is blue.", "A hat!", "Is the clock white?"] * 4
ANSWERS: dict[Task, list[str]] = {
    "classification": ["a", "b"] * 8,
    "multilabel": ['["a","b"]', '["b"]', "[]", '["a"]'] * 4,
    "chat": ["Yes, it is.", "No."] * 8,
    "language_modeling": [],
    "translation": ["Die Lampe ist rot.", "Ein Hut!"] * 8,
}
CASES = [(task, kind) for task, facts in TASKS.items() for kind in facts.architectures]


@pytest.mark.parametrize(("task", "architecture"), CASES)
@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_every_task_runs_with_every_architecture_and_strategy(
    task: Task, architecture: str, strategy: str, tmp_path: Path
) -> None:
    trained = train_small(task, architecture, tmp_path, "model", strategy=strategy)
    facts = TASKS[task]
    assert trained.num_steps >= 1
    card = score(request_of(tmp_path, task))
    assert not card.error
    assert facts.metrics[0] in card.metrics
    answer = task_code(task).predictor(tmp_path / "model").predict(["The lamp is red."])
    assert answer[0]["text"] == "The lamp is red."


CUSTOMARY: list[tuple[Task, str]] = [
    ("classification", "bert"), ("translation", "marian"), ("chat", "llama"),
]  # fmt: skip
STOPPED: list[tuple[Task, str, dict[str, Any]]] = [
    *(
        (task, architecture, {"strategy": strategy, "accumulation": accumulation})
        for task, architecture in CUSTOMARY
        for strategy in ("full", "lora")
        for accumulation in (1, 2)
    ),
    ("language_modeling", "bert", {}),
    ("multilabel", "bert", {}),
]


@pytest.mark.parametrize(
    ("task", "architecture", "settings"),
    STOPPED,
    ids=["-".join(map(str, (task, *settings.values()))) for task, _, settings in STOPPED],
)
def test_a_stopped_training_goes_on_bit_for_bit(
    task: Task, architecture: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Stopped after the first step and before the last; rows are grouped by length, dropout is on."""
    kept: dict[str, Path] = {}

    def keep(checkpoint: Path) -> None:
        kept[checkpoint.name] = tmp_path / "kept" / checkpoint.name
        shutil.move(checkpoint, kept[checkpoint.name])

    (tmp_path / "kept").mkdir()
    settings = {
        "epochs": 2, "batch_size": 3, "dropout": 0.1, "checkpoint_every_s": 1e-9, **settings,
    }  # fmt: skip
    whole = train_small(task, architecture, tmp_path, "whole", on_checkpoint=keep, **settings)
    for step in (1, whole.num_steps - 1):
        name = f"resumed{step}"
        again = train_small(
            task, architecture, tmp_path, name, resume_from=kept[f"checkpoint-{step}"], **settings
        )
        assert again.best_value == whole.best_value
        weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", name)]
        assert weights[0] == weights[1]
        configs = [(tmp_path / n / "config.json").read_bytes() for n in ("whole", name)]
        assert configs[0] == configs[1]


@pytest.mark.parametrize(
    ("task", "architecture", "num_steps"),
    [
        *((*pair, 8) for pair in CUSTOMARY), ("multilabel", "bert", 8),
        ("language_modeling", "bert", 8), ("language_modeling", "llama", 4),
    ],
)  # fmt: skip
def test_accumulation_gives_the_loss_and_gradients_of_the_big_batch(
    task: Task, architecture: str, num_steps: int, tmp_path: Path
) -> None:
    """The two halves of a batch have different numbers of tokens: a mean of means is another loss."""
    settings = {"epochs": 4, "learning_rate": 0.01, "dropout": 0.0, "max_grad_norm": 1e9}
    big = train_small(task, architecture, tmp_path, "big", batch_size=8, **settings)
    two = train_small(task, architecture, tmp_path, "two", batch_size=4, accumulation=2, **settings)
    assert big.num_steps == two.num_steps == num_steps
    for name in ("loss", "grad_norm"):
        expected, found = ([p.value for p in t.curve if p.name == name] for t in (big, two))
        assert len(expected) == num_steps
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def train_small(
    task: Task,
    architecture: str,
    folder: Path,
    out: str,
    *,
    on_checkpoint: Callable[[Path], None] | None = None,
    resume_from: Path | None = None,
    **settings: Any,
) -> Trained:
    """A training of a few steps, from nothing."""
    shape = {"architecture": architecture, "layers": 1, "width": 16, "heads": 2, "positions": 64,
             "vocabulary": 600}  # fmt: skip
    if not (folder / "base").exists():
        write_scratch(ScratchConfig.model_validate(shape), TEXTS, frozenset(), folder / "base")
    facts, answers = TASKS[task], ANSWERS[task]
    values = {
        "epochs": 1, "batch_size": 8, "max_length": 32, "max_target_length": 32,
        "precision": "fp32", "metric": facts.validation_metrics[0], "chat_template": "plain",
        "generation": {"beams": 1, "max_new_tokens": 4},
    }  # fmt: skip
    return train(
        config=TrainConfig.model_validate(values | settings),
        base=resolve_base(BaseConfig(model=str(folder / "base"))),
        labels=("a", "b") if facts.has_labels else (),
        training=Examples(TEXTS, answers),
        validation=Examples(TEXTS[:4], answers[:4]),
        lineage=frozenset(),
        out=folder / out,
        work=folder / "work",
        task=task,
        on_checkpoint=on_checkpoint,
        resume_from=resume_from,
    )


def request_of(folder: Path, task: Task) -> ScoringRequest:
    ids = tuple(f"i{k}" for k in range(4))
    has_labels = TASKS[task].has_labels
    right = ANSWERS[task][:4] or [""] * 4
    pd.DataFrame(
        {"item_id": ids, "text": TEXTS[:4], "label": right, "references": [[a] for a in right]}
    ).to_parquet(folder / "test.parquet", index=False)
    labels = tuple(right) if has_labels else ("",) * 4
    return ScoringRequest(
        role="challenger", model_path=str(folder / "model"), model_digest="d", task=task,
        test_path=str(folder / "test.parquet"),
        items=TestItems(
            item_ids=ids, groups=ids, labels=labels, has_label_sets=TASKS[task].has_label_sets
        ),
    )  # fmt: skip


def test_no_room_but_those_of_the_tasks_asks_which_task_it_runs() -> None:
    root = Path(__file__).resolve().parents[2]
    for room in ("flows", "tasks"):
        for path in (root / room).glob("*.py"):
            source = path.read_text("utf-8")
            for task in TASKS:
                assert f'== "{task}"' not in source, f"{path.name} asks for {task}"
