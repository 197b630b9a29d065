"""ROUGE-L: how much of a text is, in order, in a right one.

Own lines, since the library of that name brings nltk along, finds no words in Chinese, and is not
kept any more; a test holds both to the same figures in Latin script.
"""

import re
from collections.abc import Sequence

from models.corpus import MICRO
from records.text import normalise

SIGNATURE = "F1 of the longest common subsequence of words|Han, kana one by one|best reference"
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")  # fmt: skip
"""A word, or one character of a script that writes them without spaces between."""


def rouge_l(output: str, references: Sequence[str]) -> int:
    """The best F1 over the references, in millionths.

    Source: Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries", section 3, with
    beta 1 as in the library rouge-score.
    """
    said = _words(output)
    return max((round(MICRO * _f1(said, _words(right))) for right in references), default=0)


def common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits.

    Source: Hyyrö (2004), "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    every = (1 << len(a)) - 1
    left = every
    for word in b:
        met = left & places.get(word, 0)
        left = (left + met | left - met) & every
    return len(a) - left.bit_count()


def _f1(said: Sequence[str], right: Sequence[str]) -> float:
    total = len(said) + len(right)
    return 2 * common_length(said, right) / total if total else 0.0


def _words(text: str) -> list[str]:
    return WORD.findall(normalise(text))
