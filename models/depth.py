"""How deep in a model each weight lies: 0 for embeddings, then block by block, the head on top."""

import re
from typing import Any

from torch import nn

BLOCK = re.compile(r"^(.*?)\.(\d+)\.")
ADAPTED = "base_model.model."
"""Before every name in a model that peft has wrapped."""


def parameter_depths(model: Any) -> dict[str, int]:
    """Depth of each parameter by name; the largest is the head's. Encoder before decoder.

    Embeddings of words and positions are 0; what lies between the last block and the head, such as
    a final norm, goes with the last block; a pooler goes with the head.
    """
    body, starts = body_name(model), _first_depths(model)
    top = sum(starts.values(), 1)
    offsets = dict(zip(starts, _running_sums(list(starts.values())), strict=True))
    depths = {}
    for name, _ in model.named_parameters():
        plain = name.removeprefix(ADAPTED)
        block = BLOCK.match(plain)
        if not plain.startswith(body) or ".pooler." in plain:
            depths[name] = top
        elif block:
            depths[name] = offsets[block[1]] + int(block[2]) + 1
        else:
            depths[name] = 0 if "emb" in plain or _is_embedding(model, name) else top - 1
    return depths


def body_name(model: Any) -> str:
    """What names of the body begin with; the empty string where the model has no head of its own."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = f"{core.base_model_prefix}."
    return body if any(name.startswith(body) for name, _ in core.named_parameters()) else ""


def head_parts(model: Any) -> tuple[str, ...]:
    """Modules with weights above the body, by name: the head, and a pooler where there is one."""
    body = body_name(model).removesuffix(".")
    children = [(n, list(child.parameters())) for n, child in model.named_children() if n != body]
    parts = [name for name, parameters in children if parameters]
    if getattr(getattr(model, body, None), "pooler", None) is not None:
        parts.append(f"{body}.pooler")
    return tuple(parts)


def linear_layers(model: Any) -> list[str]:
    """Full names of the linear layers inside blocks, in order."""
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, Conv1D)
    return [
        n for n, module in model.named_modules() if isinstance(module, kinds) and BLOCK.match(n)
    ]


def _first_depths(model: Any) -> dict[str, int]:
    """Number of blocks of each stack (an encoder, a decoder), in order."""
    body, sizes = body_name(model), dict[str, int]()
    for name, _ in model.named_parameters():
        block = BLOCK.match(name.removeprefix(ADAPTED))
        if block and f"{block[1]}.".startswith(body):
            sizes[block[1]] = max(sizes.get(block[1], 0), int(block[2]) + 1)
    return sizes


def _running_sums(sizes: list[int]) -> list[int]:
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _is_embedding(model: Any, parameter: str) -> bool:
    return isinstance(model.get_submodule(parameter.rpartition(".")[0]), nn.Embedding)
