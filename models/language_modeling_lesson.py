"""Language modelling, to be learned: documents in blocks, for a causal or a masked model.

Shapes: B blocks, T tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from models.base import Base, check_fits
from models.blanks import check_metric
from models.config import TrainConfig
from models.encode import load_tokenizer
from models.language_model import LanguageModel, is_masked
from models.lesson import (
    Row,
    check_tokens,
    load_with_head,
    loss_figures,
    mean_losses,
)
from models.loss import IGNORED, token_loss
from models.task_code import Examples

MASKED_SHARE, KEPT_SHARE, RANDOM_SHARE = 0.15, 0.1, 0.1
"""Of all tokens asked for; of those, shown as they are, or as some other token (Devlin et al. 2019)."""


class LanguageModelingLesson:
    """See models/lesson.py."""

    fresh_parts = ()
    loss_figure = "loss_per_token"

    def __init__(
        self,
        *,
        base: Base,
        config: TrainConfig,
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
    ) -> None:
        check_fits("language_modeling", config, base.path, base.uri)
        check_metric("train.metric", config.metric, base.path, base.uri)
        self.tokenizer = load_tokenizer(base.path, config.max_length)
        self.model = load_with_head(base, config, "a language model", _head)
        is_cloze = is_masked(self.model.config)
        self.figures = loss_figures(config)
        needed = ("cls_token", "sep_token", "mask_token") if is_cloze else ("eos_token",)
        check_tokens(self.tokenizer, self.model, base.uri, *needed)
        self.loss = token_loss(config.label_smoothing)
        self._seed, self._size = config.seed, config.max_length
        self._texts = validation.texts
        self._asked = LanguageModel(self.model, self.tokenizer)
        cut = self._masked_blocks if self._asked.is_masked else self._causal_blocks
        self.rows: list[Row] = [
            {"ids": ids, "number": number} for number, ids in enumerate(cut(training.texts))
        ]
        self.lengths = [len(row["ids"]) for row in self.rows]
        self.num_truncated = {"train": 0, "validation": 0}

    def _causal_blocks(self, texts: Sequence[str]) -> list[list[int]]:
        """All documents, each between its start and end, as one stream in blocks of size + 1.

        A block begins with the last token of the one before: it is seen there, and asked for here.
        """
        stream: list[int] = []
        for text in texts:
            stream += [self._asked.start_id, *self._asked.ids_of(text), self.tokenizer.eos_token_id]
        size = self._size
        return [stream[k : k + size + 1] for k in range(0, len(stream) - 1, size)]

    def _masked_blocks(self, texts: Sequence[str]) -> list[list[int]]:
        """Each document in blocks between first and last token."""
        size = self._size - 2
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        documents = map(self._asked.ids_of, texts)
        return [
            [first, *ids[k : k + size], last] for ids in documents for k in range(0, len(ids), size)
        ]

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask and labels (B, T); labels say what each position should give."""
        is_masked = self._asked.is_masked
        pairs = [self._mask(r) if is_masked else (r["ids"][:-1], r["ids"][1:]) for r in rows]
        longest = max(len(ids) for ids, _ in pairs)
        pad_id = self.tokenizer.pad_token_id
        return {
            "input_ids": torch.tensor([[*a, *[pad_id] * (longest - len(a))] for a, _ in pairs]),
            "attention_mask": torch.tensor(
                [[*[1] * len(a), *[0] * (longest - len(a))] for a, _ in pairs]
            ),
            "labels": torch.tensor([[*b, *[IGNORED] * (longest - len(b))] for _, b in pairs]),
        }

    def _mask(self, row: Row) -> tuple[list[int], list[int]]:
        """Blanks anew for each step, drawn by the seed, the step and the row alone."""
        seed = hash((self._seed, row.get("step", 0), row["number"]))
        return self._mask_one(row["ids"], torch.Generator().manual_seed(seed % 2**63))

    def _mask_one(self, ids: list[int], generator: torch.Generator) -> tuple[list[int], list[int]]:
        inner = len(ids) - 2
        asked, fate = torch.rand(2, inner, generator=generator).tolist()
        others = torch.randint(len(self.tokenizer), (inner,), generator=generator).tolist()
        if not any(share < MASKED_SHARE for share in asked):
            asked[int(fate[0] * inner)] = 0.0
        seen, labels = list(ids), [IGNORED] * len(ids)
        for i in range(inner):
            if asked[i] < MASKED_SHARE:
                labels[i + 1] = ids[i + 1]
                is_kept, is_random = fate[i] < KEPT_SHARE, fate[i] < KEPT_SHARE + RANDOM_SHARE
                if not is_kept:
                    seen[i + 1] = others[i] if is_random else self.tokenizer.mask_token_id
        return seen, labels

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Loss over the validation documents, as the gate will measure it."""
        losses = LanguageModel(model, self.tokenizer).losses(self._texts)
        return mean_losses(losses, self._texts)

    def prompts(self, count: int) -> dict[str, Any]:
        """Nothing is written."""
        return {}

    def finish(self, model: Any) -> None:
        """Nothing is left to find out."""


def _head(known: Any) -> Any:
    return AutoModelForMaskedLM if is_masked(known) else AutoModelForCausalLM
