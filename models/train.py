"""Fine-tuning: one function around transformers' Trainer, which is used as a leaf."""

import json
import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PrinterCallback,
    TrainingArguments,
    set_seed,
)

from models.base import LINEAGE_FILE, Base, check_length
from models.checkpoint import ResumableTrainer
from models.config import TrainConfig
from models.device import (
    attention_kind,
    device_class,
    hide_loading_bars,
    optimiser_name,
    training_dtype,
)
from models.encode import LengthGroupedSampler, encode, load_tokenizer, pad
from models.errors import TrainingInterrupted, UnknownBase
from models.loss import class_weights, classification_loss
from models.step import StepTrainer
from models.stop import Stop
from models.watch import Progress, Watch
from records.document import CurvePoint


@dataclass(frozen=True)
class LabelledTexts:
    """One split in memory: N texts with their labels."""

    texts: Sequence[str]
    labels: Sequence[str]


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
    samples_per_s: float
    tokens_per_s: float
    peak_memory_bytes: int
    num_truncated: dict[str, int]


def train(
    *,
    config: TrainConfig,
    base: Base,
    labels: tuple[str, ...],
    training: LabelledTexts,
    validation: LabelledTexts,
    lineage: frozenset[str],
    out: Path,
    work: Path,
    on_log: Callable[[CurvePoint], None] = lambda point: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_checkpoint: Callable[[Path], None] | None = None,
    resume_from: Path | None = None,
) -> Trained:
    """Fine-tune `base` as a classifier and save the best weights on validation.

    Resumed on the same machine class from a checkpoint of the same arguments, it gives the same
    weights bit for bit as if it had never been stopped (on a processor; docs/reliability.md).

    Args:
        config: the recipe's `train`.
        base: verified base model.
        labels: C label names in the order of the model's outputs.
        training, validation: rows with labels out of `labels`.
        lineage: split groups of the rows given here; saved with those of the base.
        out: new folder for the model: safetensors, tokenizer, configuration, lineage.
        work: scratch folder.
        on_log: receives every point of the curve as it comes.
        on_progress: called after every optimiser step.
        on_checkpoint: takes over the folder of each checkpoint; None: none are written, and
            SIGTERM is left to others.
        resume_from: folder of a checkpoint, verified.

    Raises:
        SettingExceedsModel: `max_length` is over the base's positions.
        UnknownBase: the base cannot be loaded as a classifier.
        TrainingDiverged: a loss is NaN or infinite.
        TrainingInterrupted: SIGTERM came; the last step's checkpoint was handed over.
    """
    check_length(config.max_length, base.path, base.uri)
    hide_loading_bars()
    set_seed(config.seed)
    started = time.monotonic()
    tokenizer = load_tokenizer(base.path, config.max_length)
    model = _load_classifier(base, config, labels)
    model.config.pad_token_id = tokenizer.pad_token_id  # decoders answer at the last other token
    train_rows, valid_rows = encode(tokenizer, training.texts), encode(tokenizer, validation.texts)
    watch = Watch(
        config=config,
        tokenizer=tokenizer,
        labels=labels,
        valid_ids=valid_rows.input_ids,
        valid_labels=validation.labels,
        report_point=on_log,
        report_progress=on_progress,
        checkpoint_every_s=config.checkpoint_every_s if on_checkpoint else None,
        stop=Stop(),
    )
    trainer = _build_trainer(
        model, tokenizer, config, labels, train_rows.input_ids, training, work, watch
    )
    _run(trainer, on_checkpoint, resume_from)
    watch.restore_best(model)
    _save(model, tokenizer, out, base, lineage)
    wall_s = time.monotonic() - started
    num_rows = trainer.state.global_step * config.batch_size * config.accumulation
    return Trained(
        num_steps=trainer.state.global_step,
        best_step=watch.best_step,
        best_value=watch.best_value,
        curve=tuple(watch.curve),
        dtype=training_dtype(config.precision),
        device=device_class(),
        wall_s=wall_s,
        samples_per_s=num_rows / watch.train_s,
        tokens_per_s=watch.num_tokens / watch.train_s,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        num_truncated={
            "train": train_rows.num_truncated,
            "validation": valid_rows.num_truncated,
        },
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
        raise TrainingInterrupted(
            f"SIGTERM ended the training after step {trainer.state.global_step} of "
            f"{trainer.state.max_steps}; run again: it continues there"
        )


def _load_classifier(base: Base, config: TrainConfig, labels: tuple[str, ...]) -> Any:
    """The base with a fresh head of C outputs, whose names are the labels."""
    overrides: dict[str, Any] = {}
    try:
        known = AutoConfig.from_pretrained(base.path, trust_remote_code=False)
        if config.dropout is not None:
            for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout",
                         "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop",
                         "dropout_rate"):  # fmt: skip
                if hasattr(known, name):
                    overrides[name] = config.dropout
        model = AutoModelForSequenceClassification.from_pretrained(
            base.path,
            num_labels=len(labels),
            # The first step would set it, and a resumed training may have no step left.
            problem_type="single_label_classification",
            id2label=dict(enumerate(labels)),
            label2id={name: i for i, name in enumerate(labels)},
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation=attention_kind(),
            ignore_mismatched_sizes=True,
            **overrides,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as exc:
        raise UnknownBase(f"base.model={base.uri!r} cannot be made a classifier: {exc}") from exc
    if any("ForSequenceClassification" in name for name in known.architectures or ()):
        _renew_head(model)
    return model


def _renew_head(model: Any) -> None:
    """Draw everything outside the base model anew: a loaded head answers by index, not by name."""
    for name, module in model.named_children():
        if name != model.base_model_prefix:
            for parameter in module.parameters():
                parameter._is_hf_initialized = False  # transformers leaves marked ones as they are
            module.apply(model._init_weights)


def _build_trainer(
    model: Any,
    tokenizer: Any,
    config: TrainConfig,
    labels: tuple[str, ...],
    input_ids: list[list[int]],
    training: LabelledTexts,
    work: Path,
    watch: Watch,
) -> StepTrainer:
    index = {name: i for i, name in enumerate(labels)}
    rows = [
        {"input_ids": ids, "labels": index[y]}
        for ids, y in zip(input_ids, training.labels, strict=True)
    ]

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        watch.fetched.append(sum(len(row["input_ids"]) for row in batch))
        padded = pad(tokenizer, [row["input_ids"] for row in batch])
        return {**padded, "labels": torch.tensor([row["labels"] for row in batch])}

    rows_per_step = config.batch_size * config.accumulation
    steps_per_epoch = math.ceil(len(rows) / rows_per_step)
    num_steps = max(1, math.ceil(steps_per_epoch * config.epochs))
    watch.steps_per_epoch = steps_per_epoch
    watch.validate_every = max(1, math.ceil(steps_per_epoch / config.evaluations_per_epoch))
    trainer = StepTrainer(
        model=model,
        args=_arguments(config, num_steps, work),
        train_dataset=rows,
        data_collator=collate,
        callbacks=[watch],
        compute_loss_func=classification_loss(
            config.label_smoothing, class_weights(config, training.labels, labels)
        ),
    )
    trainer.watch = watch
    trainer.config = config
    trainer.sampler = LengthGroupedSampler(
        [len(ids) for ids in input_ids], batch_size=rows_per_step, seed=config.seed
    )
    # Left alone, the Trainer hands a model that accepts any keyword the rows of the step, too.
    trainer.model_accepts_loss_kwargs = False
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(config: TrainConfig, num_steps: int, work: Path) -> TrainingArguments:
    """Everything about speed and optimisation stands here."""
    return TrainingArguments(
        output_dir=str(work),
        max_steps=num_steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim=optimiser_name(),
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


def _save(model: Any, tokenizer: Any, out: Path, base: Base, lineage: frozenset[str]) -> None:
    """Write the artifact: only files that loading needs, plus the lineage; no pickles."""
    model.config._name_or_path = ""
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    groups = sorted(lineage | base.groups)
    content = {"groups": groups, "is_complete": base.is_lineage_known}
    (out / LINEAGE_FILE).write_text(json.dumps(content), "utf-8")
