"""A task made ready to be learned: model, rows, batches, loss and validation.

The Trainer is the same for all tasks; what it is fed, and how it is judged, is here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from models.base import Base
from models.config import TrainConfig
from models.device import attention_kind
from models.errors import SettingExceedsModel, UnknownBase
from models.four_bit import four_bit_options
from models.loss import Loss
from records.text import num_bytes

Row = Mapping[str, Any]
"""One encoded training row."""
PER_TOKEN, PER_BYTE = "loss_per_token", "loss_per_byte"
HIDDEN_DROPOUT = ("hidden_dropout_prob", "dropout", "resid_pdrop", "embd_pdrop", "dropout_rate")
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
"""What families call them in their configurations."""


class Lesson(Protocol):
    """What one training learns."""

    model: Any
    fresh_parts: tuple[str, ...]
    """Modules of the model whose weights the base did not bring."""
    tokenizer: Any
    rows: Sequence[Row]
    lengths: Sequence[int]
    """Tokens of each row; rows of one batch have similar ones."""
    num_truncated: dict[str, int]
    """Texts cut at their limit, by split."""
    figures: tuple[str, ...]
    """Names of what `validate` gives, in the order of the curve; train.metric is one of them."""
    loss_figure: str
    """The one that must stay finite."""

    loss: Loss
    """Over the answers of the whole optimiser step: accumulated batches are the big batch."""

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """One batch, padded to its longest row.

        In training a row also has its `step`, so that what is drawn depends on no batch.
        """

    def validate(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Figures on the validation split; `model` is in evaluation mode."""

    def prompts(self, count: int) -> dict[str, Any]:
        """What `generate` takes to answer `count` training texts; nothing where answers are no texts."""

    def finish(self, model: Any) -> None:
        """Put into the configuration what is found out on validation once the weights are final."""


def loss_figures(config: TrainConfig) -> tuple[str, ...]:
    """Losses that a lesson of texts shows: per byte as well, which no tokenizer moves, where asked."""
    return (PER_TOKEN, PER_BYTE) if config.metric == PER_BYTE else (PER_TOKEN,)


def mean_losses(losses: Sequence[tuple[float, int]], texts: Sequence[str]) -> dict[str, float]:
    """Mean losses of texts, of which each cost (nats, tokens)."""
    total = sum(nats for nats, _ in losses)
    return {
        PER_TOKEN: total / max(1, sum(count for _, count in losses)),
        PER_BYTE: total / max(1, sum(map(num_bytes, texts))),
    }


def dropout_overrides(known: Any, config: TrainConfig) -> dict[str, float]:
    """The settings of a base's configuration that mean dropout, at the recipe's rates.

    Raises:
        SettingExceedsModel: attention's rate is asked for, and the base has one for all its layers.
    """
    hidden = [name for name in HIDDEN_DROPOUT if hasattr(known, name)]
    attention = [name for name in ATTENTION_DROPOUT if hasattr(known, name)]
    if config.attention_dropout is not None and not attention:
        raise SettingExceedsModel(
            f"train.attention_dropout={config.attention_dropout}: {known.model_type!r} has one rate "
            "for all its layers; leave it out and set train.dropout"
        )
    rates = dict.fromkeys(hidden + attention, config.dropout)
    if config.attention_dropout is not None:
        rates |= dict.fromkeys(attention, config.attention_dropout)
    return {name: rate for name, rate in rates.items() if rate is not None}


def load_with_head(
    base: Base, config: TrainConfig, what: str, head: Callable[[Any], Any], **options: Any
) -> Any:
    """The base's weights under a head of transformers', in fp32; for qlora its blocks in four bits.

    Args:
        base: verified base model.
        config: the recipe's `train`.
        what: it is to be made, for the error: "a classifier".
        head: the base's configuration -> the Auto class that brings the head.
        options: further arguments of `from_pretrained`.

    Raises:
        UnknownBase: it has no such head, or cannot be loaded.
        SettingExceedsModel: strategy qlora on a machine that cannot.
    """
    try:
        known = AutoConfig.from_pretrained(base.path, trust_remote_code=False)
        kind = head(known)
        return kind.from_pretrained(
            base.path,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation=attention_kind(),
            **dropout_overrides(known, config),
            **options,
            **four_bit_options(kind, known, config),
        )
    except (UnknownBase, SettingExceedsModel):
        raise
    except (OSError, ValueError, KeyError, SafetensorError) as exc:
        raise UnknownBase(f"base.model={base.uri!r} cannot be made {what}: {exc}") from exc


def check_tokens(tokenizer: Any, model: Any, name: str, *needed: str) -> None:
    """Raises UnknownBase where the tokenizer lacks a `needed` token, or has more than the model."""
    if missing := [token for token in needed if getattr(tokenizer, token, None) is None]:
        raise UnknownBase(f"the tokenizer of {name!r} has no {' and no '.join(missing)}; add one")
    size = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > size:
        raise UnknownBase(
            f"the tokenizer of {name!r} has {len(tokenizer):,} tokens and its model {size:,}; "
            "they do not belong together: name a base whose files do"
        )
