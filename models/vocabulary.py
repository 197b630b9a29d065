"""A tokenizer trained on texts: BPE, unigram or WordPiece, over bytes.

A text is cut into words, each word into bytes, and each byte is written as one printable letter, as
GPT-2 does it. All 256 letters are in every vocabulary: whatever comes (Chinese, emoji, control
characters) has tokens and decodes to itself, and there is no unknown token to lose it in.
"""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from models.config import Architecture, ScratchConfig

PAD, UNKNOWN, BEGIN, END, MASK = SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")

WORD = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}{1,32}| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]{1,16}"
    r"|\s{1,16}(?!\S)|\s{1,16}"
)
"""GPT-2's pattern with longest runs, so that an endless word costs no endless time."""

TEMPLATES: dict[Architecture, str] = {
    "bert": f"{BEGIN} $A {END}",
    "gpt2": f"{BEGIN} $A",
    "llama": f"{BEGIN} $A",
    "xlnet": f"$A {END} {BEGIN}",  # the last token stands for the text: padding goes to the left
    "t5": f"$A {END}",
    "marian": f"$A {END}",
}
CONTINUES = "\u203f"
"""Before a WordPiece inside a word. BERT's own ## is text too, and would be taken for it."""

LONGEST_WORD_BYTES = 200
"""Over WORD's 33 characters of up to four bytes."""


def train_tokenizer(config: ScratchConfig, texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of at most `config.vocabulary` tokens.

    The same texts in the same order give the same tokenizer in every process.

    Args:
        config: the recipe's `base.scratch`.
        texts: N texts, read once.
    """
    learn = {"bpe": _bpe, "unigram": _unigram, "wordpiece": _wordpiece}[config.tokenizer]
    tokenizer = _bytewise(learn(config.vocabulary, texts))
    if config.tokenizer == "wordpiece":
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(CONTINUES, ""), decoders.ByteLevel()]
        )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=TEMPLATES[config.architecture],
        pair=TEMPLATES[config.architecture].replace("$A", f"$A {END} $B"),
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in SPECIAL],
    )
    return tokenizer


def _bytewise(model: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _letters() -> list[str]:
    """The 256 letters that stand for bytes."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _bpe(size: int, texts: Iterable[str]) -> Any:
    tokenizer = _bytewise(models.BPE())
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(SPECIAL),
            initial_alphabet=_letters(),
            show_progress=False,
        ),
    )
    return tokenizer.model


def _unigram(size: int, texts: Iterable[str]) -> Any:
    """Scores are rounded, and rare letters share one: they differ by process in the last digits."""
    tokenizer = _bytewise(models.Unigram())
    tokenizer.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=size - len(SPECIAL) + 1,
            special_tokens=[UNKNOWN],
            unk_token=UNKNOWN,
            initial_alphabet=_letters(),
            show_progress=False,
        ),
    )
    learnt = {token: score for token, score in _vocabulary(tokenizer) if token != UNKNOWN}
    floor = min([score for token, score in learnt.items() if len(token) > 1], default=-20.0)
    scores = {token: round(max(score, floor), 3) for token, score in learnt.items()}
    pieces = sorted(scores.items(), key=lambda piece: (-piece[1], piece[0]))
    return models.Unigram([*((token, 0.0) for token in SPECIAL), *pieces], SPECIAL.index(UNKNOWN))


def _wordpiece(size: int, texts: Iterable[str]) -> Any:
    """Letters inside a word get their ids beforehand: else they come in an order of the process."""
    inner = [CONTINUES + letter for letter in _letters()]
    tokenizer = _bytewise(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=[*SPECIAL, *inner],
            initial_alphabet=_letters(),
            continuing_subword_prefix=CONTINUES,
            show_progress=False,
        ),
    )
    return models.WordPiece(
        dict(_vocabulary(tokenizer)),
        unk_token=UNKNOWN,
        continuing_subword_prefix=CONTINUES,
        max_input_chars_per_word=LONGEST_WORD_BYTES,
    )


def _vocabulary(tokenizer: Tokenizer) -> list[tuple[str, Any]]:
    """(token, score) of a unigram model, (token, id) of the others, as trained."""
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return list(vocabulary.items() if isinstance(vocabulary, dict) else map(tuple, vocabulary))
