"""Chat, to be learned: the assistant's tokens alone, dialogues packed without seeing each other.

Shapes: B rows, T tokens of a row, which holds several dialogues.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM

from models.base import Base, check_fits
from models.chatbot import PLAIN, Chatbot, TemplateError
from models.config import TrainConfig
from models.encode import load_tokenizer
from models.errors import UnknownBase
from models.language_model import is_masked
from models.lesson import Row, check_tokens, load_with_head, loss_figures, mean_losses
from models.loss import IGNORED, token_loss
from models.task_code import Examples


class Sample(NamedTuple):
    """One dialogue: token ids [T], and what each position should give."""

    ids: list[int]
    targets: list[int]


class ChatLesson:
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
        check_fits("chat", config, base.path, base.uri)
        self.tokenizer = load_tokenizer(base.path, config.max_length)
        if config.chat_template == "plain":
            self.tokenizer.chat_template = PLAIN
        self.model = _load_decoder(base, config)
        check_tokens(self.tokenizer, self.model, base.uri, "eos_token")
        self._chatbot = open_chatbot(self.model, self.tokenizer, base.uri)
        self.model.generation_config.update(**config.generation.settings())
        self.model.generation_config.eos_token_id = self._chatbot.stop_id
        self.model.generation_config.max_length = None  # it would contradict max_new_tokens
        self.loss, self.figures = token_loss(config.label_smoothing), loss_figures(config)
        self._asked, self._validation = training.texts, validation
        limit = self.tokenizer.model_max_length
        whole = {
            name: [
                Sample(*self._chatbot.whole_dialogue(text, answer, learn_all=True))
                for text, answer in zip(found.texts, found.labels, strict=True)
            ]
            for name, found in (("train", training), ("validation", validation))
        }
        self.num_truncated = {
            name: sum(len(s.ids) > limit for s in samples) for name, samples in whole.items()
        }
        samples = [Sample(s.ids[-limit:], s.targets[-limit:]) for s in whole["train"]]
        self.rows: list[Row] = [{"samples": row} for row in pack(samples, config.max_length)]
        self.lengths = [sum(len(s.ids) for s in row["samples"]) for row in self.rows]

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """One batch of packed rows."""
        return collate_packed([row["samples"] for row in rows], self.tokenizer.pad_token_id)

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Loss of the last answers, as the gate will measure it."""
        chatbot = Chatbot(model, self.tokenizer)
        losses = chatbot.losses(self._validation.texts, self._validation.labels)
        return mean_losses(losses, self._validation.labels)

    def prompts(self, count: int) -> dict[str, Any]:
        """Questions, as they are asked in use."""
        ((_, rows),) = self._chatbot.batches(self._asked[:count])
        return self._chatbot.padded(rows)

    def finish(self, model: Any) -> None:
        """Nothing is left to find out."""


def pack(samples: Sequence[Sample], size: int) -> list[list[Sample]]:
    """Samples together in rows of at most `size` tokens; each goes to the first row with room.

    The longest come first, so that few places stay empty; equal inputs give equal rows.
    """
    rows: list[list[Sample]] = []
    room: list[int] = []
    first_open = 0
    for sample in sorted(samples, key=lambda s: -len(s.ids)):
        length = len(sample.ids)
        place = next((k for k in range(first_open, len(rows)) if room[k] >= length), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(size)
        rows[place].append(sample)
        room[place] -= length
        while first_open < len(rows) and room[first_open] < 2:
            first_open += 1
    return rows


def collate_packed(rows: Sequence[Sequence[Sample]], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows of samples to one batch, in which no sample sees another.

    Returns:
        input_ids, position_ids (from 0 in each sample) and labels (B, T) int64; attention_mask
        (B, 1, T, T) float32 that is 0 where a position may look and the lowest float elsewhere.
    """
    size = max(sum(len(s.ids) for s in row) for row in rows)
    shape = (len(rows), size)
    input_ids_BT = torch.full(shape, pad_id)
    labels_BT = torch.full(shape, IGNORED)
    position_ids_BT = torch.zeros(shape, dtype=torch.long)
    owner_BT = torch.full(shape, -1)
    for b, row in enumerate(rows):
        start = 0
        for number, sample in enumerate(row):
            here = slice(start, start := start + len(sample.ids))
            input_ids_BT[b, here] = torch.tensor(sample.ids)
            labels_BT[b, here] = torch.tensor(sample.targets)
            position_ids_BT[b, here] = torch.arange(len(sample.ids))
            owner_BT[b, here] = number
    is_own_BTT = owner_BT[:, :, None] == owner_BT[:, None, :]
    may_look_BTT = is_own_BTT & torch.ones(size, size, dtype=torch.bool).tril()
    mask_BTT = torch.zeros(len(rows), size, size)
    mask_BTT.masked_fill_(~may_look_BTT, torch.finfo(torch.float32).min)
    return {
        "input_ids": input_ids_BT,
        "position_ids": position_ids_BT,
        "attention_mask": mask_BTT[:, None],
        "labels": labels_BT,
    }


def open_chatbot(model: Any, tokenizer: Any, name: str) -> Chatbot:
    """The chatbot of a base; raises UnknownBase where its template cannot serve."""
    try:
        return Chatbot(model, tokenizer)
    except TemplateError as exc:
        raise UnknownBase(
            f"base.model={name!r}: {exc}; name a base that was made for chat, or set "
            "train.chat_template: plain"
        ) from exc


def _load_decoder(base: Base, config: TrainConfig) -> Any:
    def head(known: Any) -> Any:
        if is_masked(known):
            raise UnknownBase(
                f"base.model={base.uri!r} is a {known.model_type}, which fills in blanks; task chat "
                "needs a decoder (gpt2, llama, qwen)"
            )
        return AutoModelForCausalLM

    return load_with_head(base, config, "a chat model", head)
