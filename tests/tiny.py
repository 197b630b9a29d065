"""A small world that runs in seconds: a BERT built from a config, and data that it can learn."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

GOOD = ("good", "great", "fine", "lovely")
BAD = ("bad", "poor", "awful", "broken")
THINGS = tuple(f"thing{i}" for i in range(2000))


def write_base(
    folder: Path, *, seed: int = 0, max_positions: int = 64, words: Iterable[str] = ()
) -> Path:
    """A two-layer BERT of width 32 with a word tokenizer, saved as safetensors.

    Args:
        words: known beside the English ones; of Chinese each sign is a word.
    """
    torch.manual_seed(seed)
    tokenizer = _tokenizer(words)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=max_positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,  # at 0.02 so narrow a model learns from some seeds only
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_csv(path: Path, *, num_rows: int, first: int = 0, noise: int = 0) -> Path:
    """`text,label` rows, all different and easy to learn; every `noise`-th label is wrong."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for i in range(first, first + num_rows):
            is_good = i % 2 == 0
            words = GOOD if is_good else BAD
            text = f"the {THINGS[i % 2000]} number {i} is {words[i // 2 % 4]}"
            if noise and i % noise == 0:
                is_good = not is_good
            writer.writerow((text, "positive" if is_good else "negative"))
    return path


def write_agreement_csv(path: Path, *, num_rows: int, first: int = 0) -> Path:
    """Rows that are positive where two words far apart agree: no bag of words can learn that."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for i in range(first, first + num_rows):
            left, right = i % 2, i // 2 % 2
            words = (GOOD if left else BAD)[i // 4 % 4], (GOOD if right else BAD)[i // 16 % 4]
            number = i * 7919 % 10007  # else its last digits give the label away
            text = f"the {words[0]} thing number {number} is {words[1]}"
            writer.writerow((text, "positive" if left == right else "negative"))
    return path


def write_sets_jsonl(path: Path, *, num_rows: int, first: int = 0) -> Path:
    """`text` and a list `labels`: kind (the first word praises) and same (both words agree), both or
    none of them. No bag of words can learn the second."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(first, first + num_rows):
            left, right = i % 2, i // 2 % 2
            words = (GOOD if left else BAD)[i // 4 % 4], (GOOD if right else BAD)[i // 16 % 4]
            labels = [*(["kind"] if left else []), *(["same"] if left == right else [])]
            text = f"the {words[0]} thing number {i * 7919 % 10007} is {words[1]}"
            file.write(json.dumps({"text": text, "labels": labels}) + "\n")
    return path


def _tokenizer(more: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Written out: a WordPiece trainer breaks ties differently in every process.
    words = [*GOOD, *BAD, "the", "number", "is", "not", "very", "thing", *"0123456789"]
    pieces = sorted({word[0] for word in words} | {f"##{c}" for word in words for c in word[1:]})
    vocabulary = dict.fromkeys([*special, *pieces, *words, *more])
    tokenizer = Tokenizer(
        models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
