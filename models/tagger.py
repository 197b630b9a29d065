"""A saved model that gives each text a set of labels: those whose probability reaches their threshold.

This file is shipped with every registered model of its kind, so it imports torch, transformers and the
standard library only. The thresholds stand in the model's config.json; transformers' own pipeline
does not know them and gives the probabilities.

Shapes: B texts in a batch, C labels in the order of the model's outputs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH_SIZE = 32
CHARS_PER_TOKEN = 100
"""Characters beyond this many per token of the limit are not looked at."""
THRESHOLDS = "label_thresholds"
"""Of config.json: label -> the least probability with which it is given."""
HALF = 0.5
"""The threshold of a label that has none."""


def thresholds_of(config: Any) -> list[float]:
    """The threshold of each label, [C]."""
    known = getattr(config, THRESHOLDS, None) or {}
    names = [config.id2label[i] for i in range(config.num_labels)]
    return [float(known.get(name, HALF)) for name in names]


class Tagger:
    """Tokenizer, classifier and thresholds.

    Args:
        folder: transformers folder with safetensors.

    Raises:
        OSError, ValueError, KeyError, RuntimeError: the folder cannot be loaded.
    """

    def __init__(self, folder: str | Path) -> None:
        is_cuda = torch.cuda.is_available()
        self.device = "cuda" if is_cuda else "cpu"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation=None if is_cuda else "eager",
        )
        self.model = model.to(self.device).eval()
        self.labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        self.thresholds = thresholds_of(model.config)

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        """The labels of each text, which may be none, in the order of the texts."""
        return [
            [name for name, p, t in zip(self.labels, row, self.thresholds, strict=True) if p >= t]
            for row in self.probabilities(texts)
        ]

    def probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        """The probability of every label of each text, C for each."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[list[float]] = [[]] * len(texts)
        for start in range(0, len(order), BATCH_SIZE):
            places = order[start : start + BATCH_SIZE]
            rows = self._probabilities([texts[i] for i in places])
            for place, row in zip(places, rows, strict=True):
                found[place] = row
        return found

    def _probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        limit = min(self.tokenizer.model_max_length, 10**6) * CHARS_PER_TOKEN
        heads = [text[:limit] for text in texts]
        batch = self.tokenizer(heads, truncation=True, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits_BC = self.model(
                input_ids=batch["input_ids"].to(self.device),
                attention_mask=batch["attention_mask"].to(self.device),
            ).logits
        rows: list[list[float]] = logits_BC.double().sigmoid().tolist()
        return rows
