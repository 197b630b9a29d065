"""What our dropout and our token loss save of a training step, beside PyTorch's own.

    python -m benchmarks.step_parts [SOURCES TARGETS] [--rounds 5] [--width 128] [--vocabulary 4000]

One thread, bf16 where native, a Marian from nothing, steps of about 2,000 tokens of two files with
a sentence a line (the sample phrases, where none are given); the four ways take turns over the same
steps, so that a noisy machine is noisy to all.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from data_checks.sample_phrases import PhraseOptions, generate
from models.base import resolve_base
from models.config import BaseConfig, ScratchConfig, TrainConfig
from models.device import training_dtype
from models.dropout import CheapDropout
from models.encode import TokenGroupedSteps
from models.loss import IGNORED
from models.scratch import write_scratch
from models.task_code import Examples
from models.translation_lesson import TranslationLesson

NUM_STEPS = 12
SMOOTHING = 0.1


def main() -> None:
    """Time every way, in turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    for name, default in (("rounds", 5), ("width", 128), ("vocabulary", 4000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        examples = read_pairs(options.files)
        lesson = make_lesson(Path(folder) / "base", examples, options.width, options.vocabulary)
    steps = list(TokenGroupedSteps(lesson.lengths, tokens_per_step=2048, seed=1))[:NUM_STEPS]
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds + 1):
        for way in product(("PyTorch", "ours"), repeat=2):
            seconds = time_steps(lesson, steps, *way)
            if number:  # the first round makes the kernels
                found.setdefault(way, []).append(seconds / len(steps))
    usual = statistics.median(found["PyTorch", "PyTorch"])
    print(f"{'dropout':>8} {'loss':>8} {'s a step':>9} {'of the usual':>13}")
    for way, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{way[0]:>8} {way[1]:>8} {median:>9.3f} {median / usual:>13.2f}")


def read_pairs(files: list[Path]) -> Examples:
    """Sources and targets."""
    if files:
        return Examples(*(path.read_text("utf-8").splitlines()[:8000] for path in files))
    rows = list(generate(PhraseOptions(num=4000)))
    return Examples([row["source"] for row in rows], [row["target"] for row in rows])


def make_lesson(folder: Path, examples: Examples, width: int, vocabulary: int) -> TranslationLesson:
    """Pairs to learn from, by a model of random weights."""
    shape = ScratchConfig(
        architecture="marian", layers=4, width=width, heads=4, feed_forward=2 * width,
        positions=128, vocabulary=vocabulary,
    )  # fmt: skip
    write_scratch(shape, [*examples.texts, *examples.labels], frozenset(), folder)
    return TranslationLesson(
        base=resolve_base(BaseConfig(scratch=shape), folder=folder),
        config=TrainConfig(
            dropout=0.3, label_smoothing=SMOOTHING, metric="loss_per_token", max_length=128
        ),
        labels=(), training=examples, validation=Examples(examples.texts[:8], examples.labels[:8]),
    )  # fmt: skip


def time_steps(lesson: TranslationLesson, steps: list[list[int]], dropout: str, loss: str) -> float:
    """Seconds of forward and backward passes over all steps."""
    is_half = training_dtype("auto") == "bf16"
    measure = lesson.loss if loss == "ours" else usual_loss
    model = lesson.model.train()
    batches = [lesson.collate([lesson.rows[i] for i in step]) for step in steps]
    torch.manual_seed(1)
    start = time.perf_counter()
    with CheapDropout() if dropout == "ours" else nullcontext():
        for batch in batches:
            labels = batch.pop("labels")
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
                outputs = model(**batch)
            measure(outputs, labels).backward()
            model.zero_grad()
    return time.perf_counter() - start


def usual_loss(outputs: Any, labels_BT: torch.Tensor) -> torch.Tensor:
    """PyTorch's own, as the Trainer has it."""
    return functional.cross_entropy(
        outputs["logits"].flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORED,
        label_smoothing=SMOOTHING,
    )  # fmt: skip


if __name__ == "__main__":
    main()
