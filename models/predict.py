"""A saved classifier, loaded from its folder, and what it answers.

Shapes: N texts, C labels in the order of the model's outputs, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional

from models.device import attention_kind, loading
from models.encode import encode, load_tokenizer, pad

BATCH_RULE = "sorted by length, 32 rows, padded to the longest"
BATCH_SIZE = 32
SEVERAL = "multi_label_classification"
"""`problem_type` of models that give sets of labels, as transformers has it."""


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Model, tokenizer and label names, ready to answer in fp32."""

    model: Any
    tokenizer: Any
    labels: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a folder that `train` wrote; raises UnknownBase where it cannot be loaded."""
        from transformers import AutoModelForSequenceClassification

        with loading(f"the model in {path.name!r}"):
            model = AutoModelForSequenceClassification.from_pretrained(
                path,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation=attention_kind(),
            )
            tokenizer = load_tokenizer(path)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        labels = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
        return cls(model=model.to(device).eval(), tokenizer=tokenizer, labels=labels)

    def probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Probabilities (N, C) float64, rows as `texts`, and the number of texts that were cut.

        Of one label they add up to 1; where a text may have several, each stands for itself.
        """
        encoded = encode(self.tokenizer, texts)
        log_probs_NC = log_probabilities(
            self.model, self.tokenizer, encoded.input_ids, several=has_several(self.model)
        )
        return np.exp(log_probs_NC), encoded.num_truncated


def has_several(model: Any) -> bool:
    """Whether the model decides on each label by itself."""
    return bool(model.config.problem_type == SEVERAL)


def log_probabilities(
    model: torch.nn.Module,
    tokenizer: Any,
    input_ids: Sequence[Sequence[int]],
    *,
    several: bool = False,
) -> np.ndarray:
    """Natural-log probabilities (N, C) float64, in the order of `input_ids`.

    Args:
        several: a text may have several labels: each is decided on by itself.
    """
    log_of = functional.logsigmoid if several else partial(functional.log_softmax, dim=-1)
    device = next(model.parameters()).device
    order = sorted(range(len(input_ids)), key=lambda i: (len(input_ids[i]), i))
    parts: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(order), BATCH_SIZE):
            rows = [input_ids[i] for i in order[start : start + BATCH_SIZE]]
            batch = {k: v.to(device) for k, v in pad(tokenizer, rows).items()}
            logits_BC = model(**batch).logits
            parts.append(log_of(logits_BC.double()).cpu().numpy())
    if not parts:
        return np.zeros((0, 0))
    sorted_NC = np.concatenate(parts)
    result_NC = np.empty_like(sorted_NC)
    result_NC[order] = sorted_NC
    return result_NC
