"""A saved language model, loaded from its folder, and what each text costs it.

This file is shipped with every registered language model, so it imports torch, transformers and the
standard library only: what is scored and what a consumer runs are the same lines.

A causal model is asked for every token of a text, and its end, from what comes before; a masked one
for a seventh of the tokens, chosen by the text itself, from all others. Texts longer than the model
are cut into windows; no token is left out and none counts twice.

Shapes: B windows in a batch, T tokens of the longest of them, V the vocabulary.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

BATCH_TOKENS = 2048
"""Padded tokens of one batch: its logits take V times 4 bytes each."""
BATCH_RULE = "windows sorted by tokens, at most 2048 padded tokens, padded right"
MASKED_SHARE = 0.15
IGNORED = -100


class Window(NamedTuple):
    """A piece of a text: ids [T], and what each position is asked for (IGNORED: nothing)."""

    text: int
    ids: list[int]
    labels: list[int]


def is_masked(config: Any) -> bool:
    """Whether a model of this configuration fills in blanks; the others go on from a beginning."""
    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder


class LanguageModel:
    """Tokenizer and model with its language-model head.

    Args:
        model: in evaluation mode, on its device.
        tokenizer: its `model_max_length` is the longest window.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.is_masked = is_masked(model.config)

    @classmethod
    def load(cls, folder: str | Path, max_length: int | None = None) -> "LanguageModel":
        """Load a folder with safetensors; raises OSError, ValueError, KeyError or RuntimeError.

        Args:
            folder: transformers folder.
            max_length: longest window in tokens; None: what was saved with the tokenizer.
        """
        is_cuda = torch.cuda.is_available()
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        known: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        positions = getattr(known, "max_position_embeddings", None) or 2**20
        tokenizer.model_max_length = min(max_length or tokenizer.model_max_length, positions)
        head: Any = AutoModelForMaskedLM if is_masked(known) else AutoModelForCausalLM
        model = head.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="sdpa" if is_cuda else "eager",
        )
        return cls(model.to("cuda" if is_cuda else "cpu").eval(), tokenizer)

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Mean loss per token of each text, in nats."""
        return [nats / max(1, count) for nats, count in self.losses(texts)]

    def losses(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """Per text the sum of -log P over the tokens that it is asked for, and their number."""
        totals, counts = [0.0] * len(texts), [0] * len(texts)
        device = next(self.model.parameters()).device
        windows = [w for i, text in enumerate(texts) for w in self.windows(i, text)]
        with torch.inference_mode():
            for batch in _batches(windows):
                input_ids_BT, mask_BT, labels_BT = (x.to(device) for x in self._pad(batch))
                logits_BTV = self.model(input_ids=input_ids_BT, attention_mask=mask_BT).logits
                loss_BT = torch.nn.functional.cross_entropy(
                    logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), reduction="none",
                    ignore_index=IGNORED,
                ).view(labels_BT.shape)  # fmt: skip
                for window, loss in zip(batch, loss_BT.double().sum(dim=1).tolist(), strict=True):
                    totals[window.text] += loss
                    counts[window.text] += sum(label != IGNORED for label in window.labels)
        return list(zip(totals, counts, strict=True))

    def ids_of(self, text: str) -> list[int]:
        """Token ids without special tokens."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, truncation=False)[
            "input_ids"
        ]
        return ids

    @property
    def start_id(self) -> int:
        """What stands before a text: its beginning token, or else the end of the text before."""
        bos = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if bos is None else bos)

    def windows(self, text: int, content: str) -> Iterator[Window]:
        """The windows of one text, whose number is `text`."""
        ids, limit = self.ids_of(content), self.tokenizer.model_max_length
        if self.is_masked:
            yield from self._masked_windows(text, ids, content, limit - 2)
            return
        whole = [self.start_id, *ids, self.tokenizer.eos_token_id]
        for start in range(0, len(whole) - 1, limit):
            piece = whole[start : start + limit + 1]
            yield Window(text, piece[:-1], piece[1:])

    def _masked_windows(
        self, text: int, ids: list[int], content: str, size: int
    ) -> Iterator[Window]:
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        rng = random.Random(int(digest[:16], 16))
        chosen = [rng.random() < MASKED_SHARE for _ in ids]
        if ids and not any(chosen):
            chosen[int(rng.random() * len(ids))] = True
        for start in range(0, len(ids), size):
            piece, asked = ids[start : start + size], chosen[start : start + size]
            if not any(asked):
                continue
            first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
            masked = [
                self.tokenizer.mask_token_id if a else i for i, a in zip(piece, asked, strict=True)
            ]
            labels = [i if a else IGNORED for i, a in zip(piece, asked, strict=True)]
            yield Window(text, [first, *masked, last], [IGNORED, *labels, IGNORED])

    def _pad(self, windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        longest = max(len(window.ids) for window in windows)
        pad_id = self.tokenizer.pad_token_id
        pad_id = self.tokenizer.eos_token_id if pad_id is None else pad_id
        rows: tuple[list[list[int]], ...] = ([], [], [])
        for _, ids, labels in windows:
            rest = longest - len(ids)
            rows[0].append([*ids, *[pad_id] * rest])
            rows[1].append([*[1] * len(ids), *[0] * rest])
            rows[2].append([*labels, *[IGNORED] * rest])
        ids_BT, mask_BT, labels_BT = (torch.tensor(part) for part in rows)
        return ids_BT, mask_BT, labels_BT


def _batches(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows of similar length together, so many that the padded batch stays small."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda w: (len(w.ids), w.text)):
        if batch and (len(batch) + 1) * len(window.ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
