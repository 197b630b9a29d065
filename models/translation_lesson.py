"""Translation, to be learned: sources and targets for an encoder-decoder, by teacher forcing.

Shapes: B rows, S source tokens, T target tokens, V the vocabulary.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM

from models.adapt import is_adapted, merge
from models.base import Base, check_fits
from models.config import TrainConfig
from models.corpus import corpus_figures
from models.encode import load_tokenizer
from models.lesson import (
    PER_BYTE,
    PER_TOKEN,
    Row,
    check_tokens,
    load_with_head,
    loss_figures,
)
from models.loss import IGNORED, token_loss
from models.reference_scores import score_texts
from models.task_code import Examples
from models.translator import BATCH_SIZE, CHARS_PER_TOKEN, Translator
from records.text import num_bytes


class TranslationLesson:
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
        check_fits("translation", config, base.path, base.uri)
        self.tokenizer = load_tokenizer(base.path, config.max_length)
        self.model = load_encoder_decoder(base, config)
        check_tokens(self.tokenizer, self.model, base.uri, "pad_token", "eos_token")
        self.loss = token_loss(config.label_smoothing)
        self._config, self._validation = config, validation
        self._has_texts = config.metric in ("chrf", "bleu")
        self.figures = (*loss_figures(config), *(("chrf", "bleu") if self._has_texts else ()))
        self.rows, cut = self._encode(training)
        self._valid_rows, valid_cut = self._encode(validation)
        self._valid_rows.sort(key=_length)
        self.lengths = [_length(row) for row in self.rows]
        self.num_truncated = {"train": cut, "validation": valid_cut}

    def _encode(self, examples: Examples) -> tuple[list[Row], int]:
        limits = self._config.max_length, self._config.max_target_length
        sources, cut = _ids(self.tokenizer, examples.texts, limits[0], text="text")
        targets, also = _ids(self.tokenizer, examples.labels, limits[1], text="text_target")
        rows = [{"source": a, "target": b} for a, b in zip(sources, targets, strict=True)]
        return list(rows), cut + also

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask (B, S); labels and decoder_input_ids (B, T)."""
        pad_id, config = self.tokenizer.pad_token_id, self._config
        sources = [row["source"] for row in rows]
        labels_BT = _padded([row["target"] for row in rows], IGNORED, config.max_target_length)
        return {
            "input_ids": _padded(sources, pad_id, config.max_length),
            "attention_mask": _padded([[1] * len(ids) for ids in sources], 0, config.max_length),
            "labels": labels_BT,
            "decoder_input_ids": self.model.prepare_decoder_input_ids_from_labels(labels=labels_BT),
        }

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Loss under teacher forcing; chrF and BLEU where one of them chooses."""
        device = next(model.parameters()).device
        plain, total, count, size = token_loss(0.0), 0.0, 0, 0
        with torch.inference_mode():
            for start in range(0, len(self._valid_rows), BATCH_SIZE):
                rows = self._valid_rows[start : start + BATCH_SIZE]
                size += sum(map(self._num_bytes, rows))
                batch = self.collate(rows)
                labels = batch.pop("labels").to(device)
                outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
                total += float(plain(outputs, labels, 1))
                count += int((labels != IGNORED).sum())
        found = {PER_TOKEN: total / max(1, count), PER_BYTE: total / max(1, size)}
        return found | self._write(model) if self._has_texts else found

    def prompts(self, count: int) -> dict[str, Any]:
        """Sources."""
        batch = self.collate(self.rows[:count])
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def finish(self, model: Any) -> None:
        """Nothing is left to find out."""

    def _num_bytes(self, row: Row) -> int:
        """Of what the row's target says, whatever was cut off."""
        return num_bytes(self.tokenizer.decode(row["target"], skip_special_tokens=True))

    def _write(self, model: Any) -> dict[str, float]:
        """Figures of what it writes by its own generation settings, read back from a folder."""
        model = merge(copy.deepcopy(model)) if is_adapted(model) else model
        with TemporaryDirectory() as name:
            folder = Path(name)
            model.save_pretrained(folder, safe_serialization=True)
            self.tokenizer.save_pretrained(folder)
            outputs = Translator(folder)(self._validation.texts)
        references = [[label] for label in self._validation.labels]
        return corpus_figures(score_texts(outputs, references, language=None).statistics)


def load_encoder_decoder(base: Base, config: TrainConfig) -> Any:
    """The base with its own language-model head, and how it is to write.

    Raises:
        UnknownBase: it is no encoder-decoder, or cannot be loaded.
    """
    model = load_with_head(base, config, "a translator", lambda known: AutoModelForSeq2SeqLM)
    model.generation_config.update(**config.generation.settings())
    model.generation_config.max_length = None  # it would contradict max_new_tokens
    return model


def _ids(
    tokenizer: Any, texts: Sequence[str], limit: int, *, text: str
) -> tuple[list[list[int]], int]:
    """Token ids with special tokens, cut at `limit`, and how many texts were cut."""
    heads = [found[: limit * CHARS_PER_TOKEN] for found in texts]
    rows: list[list[int]] = []
    num_cut = 0
    for start in range(0, len(heads), 1024):
        part = heads[start : start + 1024]
        for head, ids in zip(
            part, tokenizer(**{text: part}, truncation=False)["input_ids"], strict=True
        ):
            is_long = len(ids) > limit
            num_cut += is_long
            cut = {"truncation": True, "max_length": limit}
            rows.append(tokenizer(**{text: head}, **cut)["input_ids"] if is_long else ids)
    return rows, num_cut


def _padded(rows: Sequence[Sequence[int]], value: int, limit: int) -> torch.Tensor:
    """Rows of at most `limit` ids to (B, length) int64, padded on the right to a multiple of four.

    A processor makes its kernels anew for each shape; so there are few.
    """
    length = min(-(-max(map(len, rows)) // 4) * 4, limit)
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows], dtype=torch.long)


def _length(row: Row) -> int:
    return len(row["source"]) + len(row["target"])
