"""`base.scratch`: a base model from nothing, in a folder like any other base.

The weights are random and the tokenizer has seen the training split, so the lineage of what comes
of it is complete. Every value follows from configuration, texts and seed.
"""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModel,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    MarianConfig,
    PreTrainedTokenizerFast,
    T5Config,
    XLNetConfig,
)

from models.base import LINEAGE_FILE
from models.config import Architecture, ScratchConfig
from models.device import code_digest, hide_loading_bars, library_versions
from models.vocabulary import BEGIN, END, MASK, PAD, UNKNOWN, train_tokenizer
from records.base import digest_of


def write_scratch(
    config: ScratchConfig, texts: Iterable[str], groups: frozenset[str], out: Path
) -> None:
    """Train the tokenizer, draw the weights, and save both as a base.

    Args:
        config: the recipe's `base.scratch`.
        texts: what the tokenizer learns from.
        groups: split groups of the rows that these texts are from.
        out: new folder: config.json, model.safetensors, tokenizer.json, lineage.json.
    """
    hide_loading_bars()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(config, texts),
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        cls_token=BEGIN,
        sep_token=END,
        mask_token=MASK,
        padding_side="left" if config.architecture == "xlnet" else "right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
    draw_model(config, tokenizer).save_pretrained(out)
    tokenizer.save_pretrained(out)
    lineage = {"groups": sorted(groups), "is_complete": True}
    (out / LINEAGE_FILE).write_text(json.dumps(lineage), "utf-8")


def scratch_key(config: ScratchConfig, texts_digest: str) -> str:
    """Digest of all that decides the folder: equal keys, equal bytes."""
    return digest_of(
        [
            config.model_dump(mode="json"),
            texts_digest,
            code_digest("scratch", "vocabulary"),
            library_versions(),
        ]
    )


def draw_model(config: ScratchConfig, tokenizer: Any) -> Any:
    """The model without a head, with random fp32 weights of `config.seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return AutoModel.from_config(
            _CONFIGS[config.architecture](config, tokenizer), dtype=torch.float32
        )


def _spread(config: ScratchConfig) -> float:
    """Standard deviation of first weights: BERT's 0.02 at width 768, wider for narrow models."""
    return min(0.2, 0.02 * math.sqrt(768 / config.width))


def _ids(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _bert(config: ScratchConfig, tokenizer: Any) -> BertConfig:
    return BertConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward or 4 * config.width,
        max_position_embeddings=config.positions,
        initializer_range=_spread(config),
        **_ids(tokenizer),
    )


def _gpt2(config: ScratchConfig, tokenizer: Any) -> GPT2Config:
    return GPT2Config(
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.heads,
        n_inner=config.feed_forward or 4 * config.width,
        n_positions=config.positions,
        initializer_range=_spread(config),
        **_ids(tokenizer),
    )


def _llama(config: ScratchConfig, tokenizer: Any) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward or 4 * config.width,
        max_position_embeddings=config.positions,
        initializer_range=_spread(config),
        tie_word_embeddings=True,
        **_ids(tokenizer),
    )


def _xlnet(config: ScratchConfig, tokenizer: Any) -> XLNetConfig:
    return XLNetConfig(
        d_model=config.width,
        n_layer=config.layers,
        n_head=config.heads,
        d_inner=config.feed_forward or 4 * config.width,
        initializer_range=_spread(config),
        **_ids(tokenizer),
    )


def _t5(config: ScratchConfig, tokenizer: Any) -> T5Config:
    return T5Config(
        d_model=config.width,
        d_kv=config.width // config.heads,
        d_ff=config.feed_forward or 4 * config.width,
        num_layers=config.layers,
        num_heads=config.heads,
        decoder_start_token_id=tokenizer.pad_token_id,
        **_ids(tokenizer),
    )


def _marian(config: ScratchConfig, tokenizer: Any) -> MarianConfig:
    inner = config.feed_forward or 4 * config.width
    return MarianConfig(
        d_model=config.width,
        encoder_layers=config.layers,
        decoder_layers=config.layers,
        encoder_attention_heads=config.heads,
        decoder_attention_heads=config.heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=config.positions,
        init_std=_spread(config),
        decoder_start_token_id=tokenizer.pad_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        **_ids(tokenizer),
    )


_CONFIGS: dict[Architecture, Callable[[ScratchConfig, Any], Any]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "llama": _llama,
    "xlnet": _xlnet,
    "t5": _t5,
    "marian": _marian,
}
