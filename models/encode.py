"""Texts to token ids, cut the same way in training, scoring and the saved artifact.

Shapes: B rows in a batch, T tokens of the longest of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.errors import UnknownBase

VOCABULARY_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
"""Without any of them transformers makes a tokenizer that knows no word, and says nothing."""


@dataclass(frozen=True)
class Encoded:
    """Token ids per text, and how many texts were cut."""

    input_ids: list[list[int]]
    num_truncated: int


def load_tokenizer(path: Path, max_length: int | None = None) -> Any:
    """The model's own tokenizer; `max_length` becomes part of what is saved with the model.

    Raises:
        UnknownBase: the folder holds none that can be loaded.
    """
    from transformers import AutoTokenizer

    options: dict[str, Any] = {}
    if max_length is not None:
        options = {
            "model_max_length": max_length,
            # A text that spells a special token out is text: T5 counts the ends in its input.
            "split_special_tokens": True,
            # Segments say nothing of a single text, and XLNet would number them unlike `pad`.
            "model_input_names": ["input_ids", "attention_mask"],
        }
    if not any((path / name).is_file() for name in VOCABULARY_FILES):
        raise UnknownBase(f"{path.name!r} has no tokenizer: none of {', '.join(VOCABULARY_FILES)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as exc:
        raise UnknownBase(f"the tokenizer in {path.name!r} cannot be loaded: {exc}") from exc
    if tokenizer.pad_token_id is None:  # GPT-2 and its kin never needed one
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def encode(tokenizer: Any, texts: Sequence[str]) -> Encoded:
    """Token ids with special tokens, cut at the tokenizer's `model_max_length`.

    A text of megabytes costs no more than its head: what lies beyond cannot reach the model.
    """
    limit = tokenizer.model_max_length
    heads = [_head(tokenizer, text, limit) for text in texts]
    rows: list[list[int]] = []
    num_truncated = 0
    for start in range(0, len(heads), 1024):
        batch = tokenizer(heads[start : start + 1024], truncation=False)["input_ids"]
        num_truncated += sum(len(ids) > limit for ids in batch)
        long = [i for i, ids in enumerate(batch) if len(ids) > limit]
        if long:
            cut = tokenizer([heads[start + i] for i in long], truncation=True)["input_ids"]
            for i, ids in zip(long, cut, strict=True):
                batch[i] = ids
        rows.extend(batch)
    return Encoded(rows, num_truncated)


def _head(tokenizer: Any, text: str, limit: int) -> str:
    """A beginning of `text` whose first `limit` tokens are those of the whole text.

    100 characters a token are plenty but for runs of white space and for endless words, which are
    one unknown token. The last word does not count: the cut may have gone through it.
    """
    size = limit * 100
    while size < len(text):
        words = [word for word in tokenizer(text[:size]).word_ids() if word is not None]
        if words and len(words) - words.count(words[-1]) >= limit:
            return text[:size]
        size *= 2
    return text


def pad(tokenizer: Any, rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Rows of ids to `input_ids` and `attention_mask`, both (B, T) int64.

    The tokenizer's `padding_side` says where: XLNet's answer stands at the end of the row.
    """
    longest = max(len(ids) for ids in rows)
    input_ids_BT = torch.full((len(rows), longest), tokenizer.pad_token_id, dtype=torch.long)
    attention_mask_BT = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, ids in enumerate(rows):
        first = longest - len(ids) if tokenizer.padding_side == "left" else 0
        input_ids_BT[i, first : first + len(ids)] = torch.tensor(ids, dtype=torch.long)
        attention_mask_BT[i, first : first + len(ids)] = 1
    return {"input_ids": input_ids_BT, "attention_mask": attention_mask_BT}


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """A random order in which rows of one batch have similar lengths.

    Its generator is seeded by seed + epoch, so that a resumed run continues the same order; the
    Trainer's own grouped sampler draws from the global generator, and does not.

    Args:
        lengths: tokens per row.
        batch_size: rows per optimiser step.
        seed: of every draw.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * 50
        batches: list[list[int]] = []
        for start in range(0, len(order), size):
            chunk = sorted(order[start : start + size], key=lambda i: -self.lengths[i])
            batches += [
                chunk[k : k + self.batch_size] for k in range(0, len(chunk), self.batch_size)
            ]
        # Only a last, short batch may end the epoch: elsewhere it would shift every batch after it.
        short = [batch for batch in batches if len(batch) < self.batch_size]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for k in torch.randperm(len(full), generator=generator).tolist():
            yield from full[k]
        for batch in short:
            yield from batch


class TokenGroupedSteps(torch.utils.data.Sampler[list[int]]):
    """The rows of each optimiser step, of similar lengths and together at most so many tokens.

    Which lengths share a step is the same in every epoch, so that all have as many steps and a
    resumed run finds its place; which rows of these lengths, and the order, change. Steps of 32
    rows and more have a multiple of eight: few shapes, since a processor's kernels are made anew for
    each.

    Args:
        lengths: tokens per row.
        tokens_per_step: rows times longest row, at most.
        seed: of every draw.
    """

    def __init__(self, lengths: Sequence[int], *, tokens_per_step: int, seed: int) -> None:
        self.lengths = lengths
        self.seed = seed
        self.epoch = 0
        self.sizes: list[int] = []
        longest_first = sorted(lengths, reverse=True)
        while (start := sum(self.sizes)) < len(lengths):
            fit = max(1, tokens_per_step // longest_first[start])
            fit -= fit % 8 if fit >= 32 else 0
            self.sizes.append(min(fit, len(lengths) - start))

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        order.sort(key=lambda i: -self.lengths[i])  # stable: rows of one length stay mixed
        ends = [sum(self.sizes[: k + 1]) for k in range(len(self.sizes))]
        for k in torch.randperm(len(self.sizes), generator=generator).tolist():
            yield order[ends[k] - self.sizes[k] : ends[k]]
