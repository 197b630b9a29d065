"""A saved translator, loaded from its folder, and what it writes.

This file is shipped with every registered translator, so it imports torch, transformers and the
standard library only: what is scored and what a consumer runs are the same lines.

Shapes: B rows in a batch, T tokens of the longest of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

BATCH_SIZE = 32
BATCH_RULE = "sorted by tokens, 32 rows, padded right to the longest"
CHARS_PER_TOKEN = 100
"""Characters beyond this many per token of the limit cannot reach the model, and are not looked at."""


class Translator:
    """Tokenizer and encoder-decoder; it writes by the generation settings that were saved with it.

    Args:
        folder: transformers folder with safetensors.
        settings: generation settings that take the place of those in the folder.

    Raises:
        OSError, ValueError, KeyError, RuntimeError: the folder cannot be loaded.
    """

    def __init__(self, folder: str | Path, **settings: Any) -> None:
        is_cuda = torch.cuda.is_available()
        self.device = "cuda" if is_cuda else "cpu"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="sdpa" if is_cuda else "eager",
        )
        self.model = model.to(self.device).eval()
        self.settings = settings
        self.num_truncated = 0
        """Texts of the last call that were cut."""

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """A translation of each text, in their order."""
        outputs = [""] * len(texts)
        for batch, rows in self.batches(texts):
            for place, output in zip(batch, self._write(rows), strict=True):
                outputs[place] = output
        return outputs

    def batches(self, texts: Sequence[str]) -> list[tuple[list[int], list[list[int]]]]:
        """Positions of texts and their token ids, as they are translated together.

        A batch alone, in its order, gives the same batch: rounding cannot tell the two apart.
        """
        ids = self._encode(texts)
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        groups = [order[k : k + BATCH_SIZE] for k in range(0, len(order), BATCH_SIZE)]
        return [(group, [ids[i] for i in group]) for group in groups]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        limit = self.tokenizer.model_max_length
        heads = [text[: min(limit, 10**6) * CHARS_PER_TOKEN] for text in texts]
        rows: list[list[int]] = (
            self.tokenizer(heads, truncation=False)["input_ids"] if heads else []
        )
        long = [i for i, row in enumerate(rows) if len(row) > limit]
        for i in long:
            rows[i] = self.tokenizer(heads[i], truncation=True)["input_ids"]
        self.num_truncated = len(long)
        return rows

    def _write(self, rows: list[list[int]]) -> list[str]:
        longest = max(map(len, rows))
        input_ids_BT = torch.full((len(rows), longest), self.tokenizer.pad_token_id)
        mask_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        for i, row in enumerate(rows):
            input_ids_BT[i, : len(row)] = torch.tensor(row)
            mask_BT[i, : len(row)] = 1
        with torch.inference_mode():
            output_ids = self.model.generate(
                input_ids=input_ids_BT.to(self.device),
                attention_mask=mask_BT.to(self.device),
                **self.settings,
            )
        texts = self.tokenizer.batch_decode(output_ids, skip_special_tokens=True)
        return [text.strip() for text in texts]
