"""Dropout on a processor, from sixteen random bits a value.

PyTorch's draws each value on its own (`bernoulli_`, one thread, 12 ns), which takes a sixth of a
small model's training step (benchmarks/step_parts.py, docs/log.md). This is the same distribution
from the same generator, so a seed and a resumed generator give the same training again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

NUM_DRAWS = 1 << 16


class CheapDropout(TorchFunctionMode):
    """A block in which `dropout` of tensors on the processor is ours; other devices keep theirs."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function is functional.dropout:
            return _dropout(*args, **kwargs)
        return function(*args, **kwargs)


def _dropout(
    values: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> torch.Tensor:
    num_dropped = round(p * NUM_DRAWS)
    if not training or inplace or values.device.type != "cpu" or not 0 < num_dropped < NUM_DRAWS:
        return functional.dropout(values, p, training, inplace)
    return _Dropout.apply(values, num_dropped)  # type: ignore[no-any-return, no-untyped-call]


class _Dropout(torch.autograd.Function):
    """Zero `num_dropped` of 65,536 values, scale the others so that the mean stays."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, num_dropped: int) -> torch.Tensor:
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        draws = draws.view(torch.int16)[: values.numel()].view(values.shape)
        is_kept = draws >= num_dropped - NUM_DRAWS // 2
        scale = is_kept.to(values.dtype).mul_(NUM_DRAWS / (NUM_DRAWS - num_dropped))
        ctx.save_for_backward(scale)
        return values * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None]:
        (scale,) = ctx.saved_tensors
        return slope * scale, None
