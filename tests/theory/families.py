"""Tiny real models in float64, made by base.scratch, and texts for them."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from models.config import ScratchConfig
from models.encode import load_tokenizer
from models.scratch import write_scratch

TEXTS = ["the lamp is bright and warm", "it broke", "I cannot say that the lamp is bright"] * 20


def make_family(architecture: str, folder: Path, auto_class: Any = AutoModel) -> tuple[Any, Any]:
    """Model (eager, float64, no dropout) and tokenizer of one architecture."""
    config = ScratchConfig.model_validate(
        {"architecture": architecture, "layers": 2, "width": 16, "heads": 2, "positions": 32,
         "vocabulary": 300}
    )  # fmt: skip
    write_scratch(config, TEXTS, frozenset(), folder)
    model = auto_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    return model.double().eval(), load_tokenizer(folder)
