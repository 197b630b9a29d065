"""The learning rate over the steps of a training; docs/theory.md draws these very objects."""

import math
from typing import Any

import torch

from models.config import TrainConfig

LIBRARY_NAMES = {"constant": "constant_with_warmup"}


def num_warmup_steps(config: TrainConfig, num_steps: int) -> int:
    """Steps in which the rate rises from zero to its peak."""
    return math.ceil(config.warmup_ratio * num_steps)


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, num_steps: int) -> Any:
    """The schedule of `train.schedule` over `num_steps`, which sets the rates of `optimizer`.

    The inverse root without a warm-up counts from one step; the library's own would count from 10,000.
    """
    from transformers import get_scheduler

    warm, is_root = num_warmup_steps(config, num_steps), config.schedule == "inverse_sqrt"
    return get_scheduler(
        LIBRARY_NAMES.get(config.schedule, config.schedule),
        optimizer=optimizer,
        num_warmup_steps=warm,
        num_training_steps=num_steps,
        scheduler_specific_kwargs={"timescale": max(1, warm)} if is_root else None,
    )


def learning_rates(config: TrainConfig, num_steps: int) -> list[float]:
    """The rate of each step: `num_steps` values."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config, num_steps)
    rates = []
    for _ in range(num_steps):
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return rates
