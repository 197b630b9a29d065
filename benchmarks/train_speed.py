"""Side by side: the usual script, the Trainer at its best, refit's training step.

    python -m benchmarks.train_speed [SST2_SENTENCES] [--rows 0 --epochs 3] [--rounds 5] [--flow]

| way | what it is |
|---|---|
| A | transformers' text-classification example: fp32, every text padded to 128, random order |
| B | the Trainer's best flags: bf16 where native, grouped by length, padded to the batch, fused AdamW |
| C | refit: models.train.train with its defaults |

Same base, rows, seed, epochs, batch, learning rate, schedule and weight decay, each in a fresh
process, interleaved. Samples per second count the rows that the optimiser saw over the seconds
between the first and the last step of the training loop; validations are left out in all three.
Peak memory is that of the whole process.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.config import BaseConfig, TrainConfig

DATA = Path("../shared/data/sst2_sentences")
WAYS = {"A": "usual script", "B": "best flags", "C": "refit"}
SEED = 1
Rows = tuple[list[str], list[int]]
Figures = dict[str, float]


def main() -> None:
    """Run all rounds and print the table; or, as a child, one way once."""
    options = parse()
    if options.way:
        print(json.dumps(run_way(options)))
        return
    rounds = []
    for number in range(1, options.rounds + 1):
        figures = {way: in_a_child(way, options) for way in WAYS}
        rounds.append(figures)
        speeds = "  ".join(f"{way} {figures[way]['samples_per_s']:.1f}" for way in WAYS)
        print(f"round {number}: samples/s  {speeds}", flush=True)
    show(rounds)
    if options.flow:
        show_flow(options)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__, rows=640, rounds=5)
    parser.add_argument("--flow", action="store_true", help="also one whole `refit run`")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def parser_of(text: str | None, *, rows: int, rounds: int) -> argparse.ArgumentParser:
    """What a way is told (data, rows, epochs), and how often."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help="train.tsv and dev.tsv")
    parser.add_argument("--rows", type=int, default=rows, help="rows of each file; 0: all")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def in_a_child(way: str, options: argparse.Namespace) -> Figures:
    """One way in a fresh process."""
    command = [
        sys.executable, "-m", "benchmarks.train_speed", str(options.data), "--way", way,
        "--rows", str(options.rows), "--epochs", str(options.epochs),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{WAYS[way]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_way(options: argparse.Namespace) -> Figures:
    """Train once and score the dev split; in this process."""
    train, dev = (
        read(options.data / "train.tsv", options.rows),
        read(options.data / "dev.tsv", options.rows),
    )
    config = TrainConfig(epochs=options.epochs, seed=SEED)
    with tempfile.TemporaryDirectory() as scratch:
        if options.way == "C":
            figures = train_with_refit(config, train, dev, Path(scratch))
        else:
            figures = train_with_trainer(config, train, dev, Path(scratch), options.way == "B")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_mb"] = peak * (1 if sys.platform == "darwin" else 1024) / 1e6
    return figures


def read(path: Path, num_rows: int = 0) -> Rows:
    """Texts and labels (0 or 1) of `text TAB label` lines without a header."""
    lines = path.read_text("utf-8").splitlines()[: num_rows or None]
    texts, labels = zip(*(line.split("\t") for line in lines), strict=True)
    return list(texts), [int(label) for label in labels]


def train_with_refit(config: TrainConfig, train: Rows, dev: Rows, scratch: Path) -> Figures:
    """C: refit's own step; every epoch validates, and its clock leaves that out."""
    from models.base import resolve_base
    from models.predict import Classifier
    from models.task_code import Examples
    from models.train import train as train_classifier

    trained = train_classifier(
        config=config,
        base=resolve_base(BaseConfig()),
        labels=("0", "1"),
        training=Examples(train[0], [str(label) for label in train[1]]),
        validation=Examples(dev[0], [str(label) for label in dev[1]]),
        lineage=frozenset(),
        out=scratch / "model",
        work=scratch / "work",
    )
    probabilities_NC, _ = Classifier.load(scratch / "model").probabilities(dev[0])
    # Its own figure counts a short last batch as a full one; here rows are rows, as in A and B.
    num_counted = trained.num_steps * config.batch_size
    return {
        "samples_per_s": trained.samples_per_s * num_seen(config, train) / num_counted,
        "accuracy": accuracy(probabilities_NC.argmax(axis=1).tolist(), dev[1]),
    }


def train_with_trainer(
    config: TrainConfig, train: Rows, dev: Rows, scratch: Path, is_best: bool
) -> Figures:
    """A or B: transformers' Trainer as people write it, or with every flag that helps."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        default_data_collator,
        set_seed,
    )

    from models.base import resolve_base

    set_seed(config.seed)
    path = resolve_base(BaseConfig()).path
    tokenizer = AutoTokenizer.from_pretrained(path, model_max_length=config.max_length)
    padding: dict[str, Any] = {} if is_best else {"padding": "max_length"}
    clock = _clock()
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(path, num_labels=2),
        args=arguments(config, len(train[0]), scratch, is_best),
        train_dataset=encoded(tokenizer, train, padding),
        eval_dataset=encoded(tokenizer, dev, padding),
        data_collator=DataCollatorWithPadding(tokenizer) if is_best else default_data_collator,
        callbacks=[clock],
    )
    trainer.train()
    found = trainer.predict(trainer.eval_dataset)  # grouped by length: in an order of its own
    return {
        "samples_per_s": num_seen(config, train) / clock.seconds,
        "accuracy": accuracy(found.predictions.argmax(axis=1).tolist(), found.label_ids.tolist()),
    }


def num_seen(config: TrainConfig, train: Rows) -> float:
    """Rows that the optimiser sees, repeats counted."""
    return config.epochs * len(train[0])


def arguments(config: TrainConfig, num_rows: int, scratch: Path, is_best: bool) -> Any:
    """What A and B share, and what the flags of B add."""
    from torch.cuda import is_available as has_card
    from transformers import TrainingArguments

    from models.device import has_bf16

    num_steps = math.ceil(math.ceil(num_rows / config.batch_size) * config.epochs)
    best = {
        "bf16": has_bf16(),
        "train_sampling_strategy": "group_by_length",
        "optim": "adamw_torch_fused",
    }
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=math.ceil(config.warmup_ratio * num_steps),
        weight_decay=config.weight_decay,
        per_device_eval_batch_size=config.batch_size,
        seed=config.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not has_card(),  # without it, bf16 on a processor is refused
        **(best if is_best else {}),
    )


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Seconds of the training loop, from its beginning to its end."""

        started = seconds = 0.0

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            """Start."""
            self.started = time.monotonic()

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            """Stop."""
            self.seconds = time.monotonic() - self.started

    return Clock()


def encoded(tokenizer: Any, rows: Rows, padding: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows as the Trainer wants them."""
    batch = tokenizer(rows[0], truncation=True, **padding)
    return [
        {**{name: values[i] for name, values in batch.items()}, "labels": label}
        for i, label in enumerate(rows[1])
    ]


def accuracy(predicted: Sequence[int], labels: Sequence[int]) -> float:
    """Share of equal entries."""
    return sum(a == b for a, b in zip(predicted, labels, strict=True)) / len(labels)


def show(rounds: Sequence[dict[str, Figures]]) -> None:
    """Medians over the rounds, and ratios within each."""
    print(f"\n{'':<16}{'samples/s':>11}{'dev acc':>9}{'peak MB':>9}   median of {len(rounds)}")
    for way, name in WAYS.items():
        middle = {
            figure: statistics.median(r[way][figure] for r in rounds)
            for figure in ("samples_per_s", "accuracy", "peak_mb")
        }
        print(
            f"{way} {name:<14}{middle['samples_per_s']:>11.1f}{middle['accuracy']:>9.4f}"
            f"{middle['peak_mb']:>9.0f}"
        )
    for other in ("A", "B"):
        ratios = [r["C"]["samples_per_s"] / r[other]["samples_per_s"] for r in rounds]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"C/{other}: median {statistics.median(ratios):.2f} ({each})")


def show_flow(options: argparse.Namespace) -> None:
    """Where the time of one whole `refit run` goes, beyond training and scoring."""
    with tempfile.TemporaryDirectory() as folder:
        home, recipe = Path(folder) / "home", Path(folder) / "recipe.yaml"
        recipe.write_text(json.dumps(flow_recipe(options, Path(folder))), "utf-8")
        command = [sys.executable, "-m", "deployments.cli", "run", str(recipe), "--json"]
        started = time.monotonic()
        done = subprocess.run(
            ["env", f"REFIT_HOME={home}", *command], capture_output=True, text=True
        )
        wall_s = time.monotonic() - started
        if done.returncode not in (0, 3):
            raise SystemExit(f"refit run ended with {done.returncode}:\n{done.stderr[-2000:]}")
        page = Path(json.loads(done.stdout)["report_path"])
        document = json.loads((page.parent / "document.json").read_text("utf-8"))
    show_costs(wall_s, document["costs"])


def show_costs(wall_s: float, costs: Sequence[dict[str, Any]]) -> None:
    """The seconds of each step of a flow, and what was neither training nor scoring."""
    steps = {cost["step"]: cost["wall_s"] for cost in costs}
    work_s = steps.get("train", 0.0) + steps.get("evaluate", 0.0)
    print(f"\none whole `refit run` in a fresh home: {wall_s:.1f} s")
    for name, seconds in steps.items():
        print(f"  {name:<10}{seconds:>8.2f} s")
    print(f"  {'the rest':<10}{wall_s - sum(steps.values()):>8.2f} s  (starts, promotion, report)")
    print(f"beyond training and scoring: {wall_s - work_s:.1f} s, {1 - work_s / wall_s:.0%}")


def flow_recipe(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The same training as a recipe; JSON is YAML."""
    lines = (options.data / "train.tsv").read_text("utf-8").splitlines(keepends=True)
    (folder / "train.tsv").write_text("".join(lines[: options.rows or None]), "utf-8")
    return {
        "name": "speed",
        "data": {
            "train": str(folder / "train.tsv"),
            "test": str((options.data / "dev.tsv").resolve()),
            "columns": ["text", "label"],
        },
        "train": {"epochs": options.epochs, "seed": SEED},
        "gate": {"minimum": 0.5},
    }


if __name__ == "__main__":
    main()
