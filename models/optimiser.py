"""AdamW, with a learning rate that may fall with depth."""

from collections.abc import Collection
from typing import Any

import torch

from models.config import TrainConfig
from models.depth import parameter_depths


def build_optimiser(
    model: Any, decayed: Collection[str], config: TrainConfig
) -> torch.optim.Optimizer:
    """AdamW over the trainable weights.

    In one pass over memory (fused): on 2 cores 25 ms a step where the unfused took 119.

    Args:
        model: with `requires_grad` as the strategy set it.
        decayed: names of the parameters that weight decay applies to.
        config: the recipe's `train`.
    """
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    depths = parameter_depths(model)
    top = max(depths.values())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            steps_down = top - depths[name] if config.layer_decay < 1 else 0
            groups.setdefault((steps_down, name not in decayed), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": groups[steps_down, is_bare],
                "lr": config.learning_rate * config.layer_decay**steps_down,
                "weight_decay": 0.0 if is_bare else config.weight_decay,
            }
            for steps_down, is_bare in sorted(groups)  # the head first: its rate is the one logged
        ],
        lr=config.learning_rate,
        fused=True,
    )
