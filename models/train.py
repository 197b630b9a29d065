"""Fine-tuning: one function around transformers' Trainer, which is used as a leaf."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainingArguments, set_seed

from models.adapt import (
    Unfreezing,
    adapt,
    check_same,
    is_adapted,
    merge,
    onto_full_base,
    probe,
)
from models.base import LINEAGE_FILE, Base
from models.checkpoint import ResumableTrainer
from models.config import TrainConfig
from models.device import (
    attention_kind,
    device_class,
    hide_loading_bars,
    keep_freed_memory,
    training_dtype,
)
from models.encode import LengthGroupedSampler, TokenGroupedSteps
from models.errors import TrainingInterrupted
from models.lesson import Lesson
from models.memory import peak_bytes
from models.progress import Progress
from models.step import SizedRow, StepRows, StepTrainer
from models.stop import Stop
from models.task_code import Examples, task_code
from models.watch import Watch
from records.document import CurvePoint
from records.task import Task

NUM_PROBED = 64
"""Training rows on which a merged adapter must answer as before."""
NUM_ASKED = 8
"""Training texts to which it must write the same, where it writes."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training; the model lies in the folder that was asked for."""

    num_steps: int
    best_step: int
    best_value: float
    curve: tuple[CurvePoint, ...]
    dtype: str
    device: str
    wall_s: float
    num_tokens: int
    samples_per_s: float
    tokens_per_s: float
    peak_memory_bytes: int
    num_truncated: dict[str, int]
    is_cut: bool
    """Whether `train.budget_s` ended it before its last step."""


def train(
    *,
    config: TrainConfig,
    base: Base,
    labels: tuple[str, ...],
    training: Examples,
    validation: Examples,
    lineage: frozenset[str],
    out: Path,
    work: Path,
    task: Task = "classification",
    on_log: Callable[[CurvePoint], None] = lambda point: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_start: Callable[[Progress], None] = lambda progress: None,
    on_checkpoint: Callable[[Path], None] | None = None,
    resume_from: Path | None = None,
) -> Trained:
    """Fine-tune `base` for a task and save the best weights on validation.

    Resumed on the same machine class from a checkpoint of the same arguments, it gives the same
    weights bit for bit as if it had never been stopped (on a processor; docs/reliability.md).

    Args:
        config: the recipe's `train`.
        base: verified base model.
        labels: C label names in the order of the model's outputs; none where texts are written.
        training, validation: texts with what each should be answered.
        lineage: split groups of the rows given here; saved with those of the base.
        out: new folder for the model: safetensors, tokenizer, configuration, lineage.
        work: scratch folder.
        task: what is learned.
        on_log: receives every point of the curve as it comes.
        on_progress: called after every optimiser step; where it raises OverBudget, the training ends
            as by SIGTERM, and raises that.
        on_start: called before the first step with all that there is to do; what it raises is raised.
        on_checkpoint: takes over the folder of each checkpoint; None: none are written, and
            SIGTERM is left to others.
        resume_from: folder of a checkpoint, verified.

    Raises:
        SettingExceedsModel: a length is over the base's positions.
        UnknownBase: the base cannot be loaded for the task.
        TrainingDiverged: a loss is NaN or infinite.
        TrainingInterrupted: SIGTERM came; the last step's checkpoint was handed over.
        OverBudget: `on_start` or `on_progress` said so; after a step its checkpoint was handed over.
    """
    hide_loading_bars()
    keep_freed_memory()
    set_seed(config.seed)
    started = time.monotonic()
    lesson = task_code(task).lesson(
        base=base, config=config, labels=labels, training=training, validation=validation
    )
    model = adapt(lesson.model, config, base.uri, lesson.fresh_parts)
    watch = Watch(
        config=config,
        lesson=lesson,
        report_point=on_log,
        report_progress=on_progress,
        report_start=on_start,
        checkpoint_every_s=config.checkpoint_every_s if on_checkpoint else None,
        stop=Stop(),
    )
    watch.started = started
    trainer = _build_trainer(lesson, model, config, work, watch)
    _run(trainer, on_checkpoint, resume_from)
    watch.restore_best(model)
    # Training wrapped the model's forward pass in bf16 products; what is saved answers in fp32.
    model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    model = onto_full_base(model, config, base, lesson.fresh_parts)
    _finish(lesson, model, out, base, lineage)
    wall_s = time.monotonic() - started
    num_rows = float(trainer.state.epoch or 0) * len(lesson.rows)
    return Trained(
        num_steps=trainer.state.global_step,
        best_step=watch.best_step,
        best_value=watch.best_value,
        curve=tuple(watch.curve),
        dtype=training_dtype(config.precision),
        device=device_class(),
        wall_s=wall_s,
        num_tokens=watch.num_tokens,
        samples_per_s=num_rows / watch.train_s,
        tokens_per_s=watch.num_tokens / watch.train_s,
        peak_memory_bytes=peak_bytes(),
        num_truncated=lesson.num_truncated,
        is_cut=watch.is_cut,
    )


def _run(
    trainer: ResumableTrainer,
    on_checkpoint: Callable[[Path], None] | None,
    resume_from: Path | None,
) -> None:
    """Train to the end, taking SIGTERM as the wish for a checkpoint where somebody takes it."""
    if on_checkpoint is None:
        trainer.run(resume_from)
        return
    trainer.hand_over = on_checkpoint
    with trainer.watch.stop.listening():
        trainer.run(resume_from)
    if not trainer.watch.is_finished:
        raise trainer.watch.stop.cause or TrainingInterrupted(
            f"SIGTERM ended the training after step {trainer.state.global_step} of "
            f"{trainer.state.max_steps}; run again: it continues there"
        )


def _build_trainer(
    lesson: Lesson, model: Any, config: TrainConfig, work: Path, watch: Watch
) -> StepTrainer:
    def fetch(rows: list[SizedRow]) -> StepRows:
        watch.fetched.append(sum(row.length for row in rows))
        return StepRows(rows)

    rows = [SizedRow(*pair) for pair in zip(lesson.rows, lesson.lengths, strict=True)]
    rows_per_step = config.batch_size * config.accumulation
    steps = _steps_of_tokens(lesson.lengths, config)
    steps_per_epoch = len(steps) if steps else math.ceil(len(rows) / rows_per_step)
    num_steps = max(1, math.ceil(steps_per_epoch * config.epochs))
    watch.steps_per_epoch, watch.tokens_per_epoch = steps_per_epoch, sum(lesson.lengths)
    watch.validate_every = max(1, math.ceil(steps_per_epoch / config.evaluations_per_epoch))
    trainer = StepTrainer(
        model=model,
        args=_arguments(config, num_steps, work),
        train_dataset=rows,
        data_collator=fetch,
        callbacks=[watch, *([Unfreezing(model)] if config.strategy == "gradual" else [])],
        compute_loss_func=lesson.loss,
    )
    trainer.watch = watch
    trainer.config = config
    trainer.collate = lesson.collate
    trainer.steps = steps
    trainer.sampler = LengthGroupedSampler(
        lesson.lengths, batch_size=rows_per_step, seed=config.seed
    )
    trainer._loss_shifts_labels = False  # a lesson's labels say what each position should give
    # Left alone, the Trainer hands a model that accepts any keyword the rows of the step, too.
    trainer.model_accepts_loss_kwargs = False
    trainer.remove_callback(PrinterCallback)
    return trainer


def _steps_of_tokens(lengths: Sequence[int], config: TrainConfig) -> TokenGroupedSteps | None:
    if config.batch_tokens is None:
        return None
    return TokenGroupedSteps(
        lengths, tokens_per_step=config.batch_tokens * config.accumulation, seed=config.seed
    )


def _arguments(config: TrainConfig, num_steps: int, work: Path) -> TrainingArguments:
    """Everything about speed and optimisation stands here."""
    return TrainingArguments(
        output_dir=str(work),
        max_steps=num_steps,
        per_device_train_batch_size=config.batch_size * config.accumulation,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        bf16=training_dtype(config.precision) == "bf16",
        use_cpu=not torch.cuda.is_available(),  # without it, bf16 on a processor is refused
        seed=config.seed,
        data_seed=config.seed,
        logging_steps=max(1, num_steps // 100),
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
    )


def _finish(lesson: Lesson, model: Any, out: Path, base: Base, lineage: frozenset[str]) -> None:
    """Save the model, adapters merged; and then prove that this changed no answer."""
    batch = lesson.collate(lesson.rows[:NUM_PROBED]) if is_adapted(model) else {}
    asked = lesson.prompts(NUM_ASKED) if batch else {}
    adapted = probe(model, batch, asked)
    plain = merge(model)
    merged = probe(plain, batch, asked)
    lesson.finish(plain.eval())
    _save(plain, lesson.tokenizer, out, base, lineage)
    if batch:
        reloaded = type(plain).from_pretrained(
            out, use_safetensors=True, dtype=torch.float32, attn_implementation=attention_kind()
        )
        check_same(adapted, {"merged": merged, "reloaded": probe(reloaded, batch, asked)}, out)


def _save(model: Any, tokenizer: Any, out: Path, base: Base, lineage: frozenset[str]) -> None:
    """Write the artifact: only files that loading needs, plus the lineage; no pickles."""
    model.config._name_or_path = ""
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    groups = sorted(lineage | base.groups)
    content = {"groups": groups, "is_complete": base.is_lineage_known}
    (out / LINEAGE_FILE).write_text(json.dumps(content), "utf-8")
