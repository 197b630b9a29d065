"""What this machine computes with: one place for device and precision."""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError

from models.config import TrainConfig
from models.errors import UnknownBase

COMPUTING_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")
"""Whose versions can move a result."""
TRAINING_LIBRARIES = (*COMPUTING_LIBRARIES, "peft", "scikit-learn")
"""Whose versions can move trained weights."""
TRAINING_CODE = (
    "adapt", "base", "checkpoint", "depth", "device", "dropout", "encode", "four_bit", "lesson", "loss",
    "optimiser", "progress", "schedule", "step", "stop", "train", "watch",
)  # fmt: skip
"""Modules of this room that every training runs through."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h."""


def device_class() -> str:
    """cpu, or cuda with the card's name."""
    return f"cuda:{torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"


def num_cards() -> int:
    """CUDA cards at hand."""
    return int(torch.cuda.device_count())


def has_bf16() -> bool:
    """Whether bf16 products are native: a CUDA card, or a processor with AMX or AVX512-BF16."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def training_dtype(precision: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]:
    """The precision of matrix products in training; weights and optimiser stay fp32."""
    if precision == "auto":
        return "bf16" if has_bf16() else "fp32"
    return precision


def library_versions(names: Sequence[str] = COMPUTING_LIBRARIES) -> dict[str, str]:
    """Installed versions of what computes."""
    return {name: importlib.metadata.version(name) for name in names}


def code_digest(*modules: str) -> str:
    """sha256 over the source of modules of this room, by name."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode() + b"\0" + (folder / f"{name}.py").read_bytes() + b"\0")
    return digest.hexdigest()


def training_identity(config: TrainConfig, modules: tuple[str, ...]) -> dict[str, object]:
    """The part of a train key that this machine and this code decide.

    Args:
        config: the recipe's `train`.
        modules: of this room, that the task's training runs through beside the common ones.
    """
    is_quantised = config.strategy == "qlora" and importlib.util.find_spec("bitsandbytes")
    return {
        "code": code_digest(*TRAINING_CODE, *modules),
        "libraries": library_versions(
            [*TRAINING_LIBRARIES, *(["bitsandbytes"] if is_quantised else [])]
        ),
        "device": device_class(),
        "world_size": max(1, torch.cuda.device_count()),
        "dtype": training_dtype(config.precision),
    }


def attention_kind() -> str | None:
    """Eager on processors, where it beat the fused kernel (docs/log.md); on cards the library's
    choice (None): fused, but for XLNet and others that have no fused one."""
    return None if torch.cuda.is_available() else "eager"


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees for its next tensors.

    glibc gives every big block back to the system, so that each step's tensors are made of new
    pages, which must be zeroed: a tenth of a small model's step, and more beside a big vocabulary
    (docs/log.md). Where the C library has no `mallopt`, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
        mallopt(option, value)


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether a card or the machine had no memory left."""
    return isinstance(exc, torch.OutOfMemoryError) or "can't allocate memory" in str(exc)


def hide_loading_bars() -> None:
    """Turn off transformers' bars over milliseconds; the training has a bar of its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Load a model quietly in this block; raises UnknownBase, naming `what`, where that fails.

    No memory is a fault of this machine now, and says nothing about the model.
    """
    hide_loading_bars()
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as exc:
        if is_out_of_memory(exc):
            raise
        raise UnknownBase(f"{what} cannot be loaded: {exc}") from exc
