"""The `base` and `train` parts of a recipe."""

from typing import Literal

from pydantic import Field

from records.base import Record

TRAIN_VERSION = 1
"""Part of every train key: raise it when the same configuration would train otherwise."""


class BaseConfig(Record):
    """The general model that the custom one is made from."""

    model: str = Field(
        "package:all-minilm-l6-v2",
        min_length=1,
        description="package:all-minilm-l6-v2 (ships as a Python package, no hub), a hub id, "
        "a local folder, or models:/name@alias from the registry.",
    )
    revision: str | None = Field(
        None, description="Commit of a hub model (40 hex digits); hub ids need one."
    )


class TrainConfig(Record):
    """How the base is fine-tuned. One effective batch: batch_size * accumulation."""

    strategy: Literal["full"] = Field("full", description="full: every weight is trained.")
    epochs: float = Field(3.0, gt=0, le=1000, description="Passes over the training split.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    schedule: Literal["linear", "cosine"] = Field(
        "linear", description="Decay to zero after the warm-up."
    )
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of steps that warm up.")
    batch_size: int = Field(32, ge=1, le=4096, description="Rows per step and device.")
    accumulation: int = Field(1, ge=1, le=1024, description="Batches per optimiser step.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Of hidden and attention layers; none: the base's own."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Mass given to the other labels.")
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of an exponential moving average of the weights, which is "
        "then what is validated and kept; 0: off.",
    )
    max_length: int = Field(
        128, ge=4, le=1_000_000, description="Tokens per text; longer ones are cut and counted."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor multiplies it natively."
    )
    evaluations_per_epoch: int = Field(1, ge=1, le=100, description="Validations in each epoch.")
    early_stopping: int = Field(
        0, ge=0, description="Stop after this many validations without a better metric; 0: never."
    )
    metric: Literal["accuracy", "macro_f1", "log_loss"] = Field(
        "accuracy", description="Decides on validation which checkpoint is kept."
    )
    seed: int = Field(1, ge=0, lt=2**31, description="Of weights, dropout and row order.")
    checkpoint_every_s: float = Field(
        300,
        gt=0,
        le=86_400,
        description="Seconds of training that a killed run may lose; a checkpoint is also written "
        "at the end of each epoch. Moves no weight.",
    )
