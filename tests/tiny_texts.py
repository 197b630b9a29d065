"""Small models that write texts, built from a config, with a tokenizer trained on the samples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    MarianConfig,
    MarianMTModel,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    MBartTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
)
from transformers import T5ForConditionalGeneration as T5Model

from data_checks.sample_phrases import PhraseOptions, generate

SPECIAL = ["<pad>", "</s>", "<unk>"]


def write_translator_base(
    folder: Path,
    *,
    family: Literal["t5", "marian"] = "t5",
    width: int = 64,
    layers: int = 2,
    vocabulary: int = 600,
    positions: int = 64,
    seed: int = 0,
) -> Path:
    """An encoder-decoder of random weights, saved as safetensors."""
    torch.manual_seed(seed)
    tokenizer = bpe_tokenizer(phrases(), vocabulary)
    build = _t5 if family == "t5" else _marian
    model = build(len(tokenizer), width, layers, positions)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_many_languages_base(
    folder: Path, kind: type[MBartTokenizer] | type[MBart50Tokenizer], *, width: int = 64
) -> Path:
    """An mBART of random weights, of the first or of the second generation."""
    torch.manual_seed(0)
    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    pieces.train_from_iterator(phrases(), trainer)
    vocabulary = [tuple(pair) for pair in json.loads(pieces.to_str())["model"]["vocab"]]
    languages = [(token, 0.0) for token in kind().lang_code_to_id]
    tokenizer = kind(vocab=[*vocabulary, *languages, ("<mask>", 0.0)])
    config = MBartConfig(
        vocab_size=len(tokenizer), d_model=width, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width, max_position_embeddings=64, scale_embedding=True, dropout=0.0,
        init_std=0.1, decoder_start_token_id=2 if kind is MBart50Tokenizer else None,
    )  # fmt: skip
    MBartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def phrases(pair: Literal["en-de", "en-zh"] = "en-de", num: int = 600) -> Iterator[str]:
    """Sources and targets of the sample."""
    for row in generate(PhraseOptions(pair=pair, num=num)):
        yield row["source"]
        yield row["target"]


def bpe_tokenizer(texts: Iterator[str], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE with an end token after each text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _t5(size: int, width: int, layers: int, positions: int) -> T5Model:
    config = T5Config(
        vocab_size=size, d_model=width, d_kv=width // 4, d_ff=2 * width, num_layers=layers,
        num_decoder_layers=layers, num_heads=4, dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, feed_forward_proj="gated-gelu", tie_word_embeddings=True,
    )  # fmt: skip
    return T5Model(config)


def _marian(size: int, width: int, layers: int, positions: int) -> MarianMTModel:
    config = MarianConfig(
        vocab_size=size, decoder_vocab_size=size, d_model=width, encoder_layers=layers,
        decoder_layers=layers, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=2 * width, decoder_ffn_dim=2 * width, max_position_embeddings=positions,
        dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, forced_eos_token_id=1, scale_embedding=True,
        share_encoder_decoder_embeddings=True, bos_token_id=None,
    )  # fmt: skip
    return MarianMTModel(config)
