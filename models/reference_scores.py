"""Generated texts against references: the integers per item out of which BLEU and chrF are summed."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sacrebleu.metrics import BLEU, CHRF

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


class ReferenceScores(NamedTuple):
    """Metric -> integers per item, and metric -> the library's signature."""

    statistics: dict[str, tuple[tuple[int, ...], ...]]
    signatures: dict[str, str]


def score_texts(
    outputs: Sequence[str], references: Sequence[Sequence[str]], *, language: str | None
) -> ReferenceScores:
    """Integers of each item for BLEU and chrF.

    Args:
        outputs: N texts that a model wrote.
        references: for each of them one right text or more.
        language: of the references, ISO 639-1; None: told by their script.

    Source: sacrebleu 2.6; the statistics of one sentence are not in its public interface, their sum
    is held against `corpus_score` by a test.
    """
    streams = _streams(references)
    statistics = {}
    for name, metric in _metrics(references, language).items():
        rows = metric._extract_corpus_statistics(list(outputs), streams)
        statistics[name] = tuple(tuple(int(n) for n in row) for row in rows)
    return ReferenceScores(statistics, signatures_of(references, language))


def signatures_of(references: Sequence[Sequence[str]], language: str | None) -> dict[str, str]:
    """How each metric is computed on these references, as sacrebleu states it."""
    counts = {len(row) for row in references}
    num_references = counts.pop() if len(counts) == 1 else -1
    signatures = {}
    for name, metric in _metrics(references, language).items():
        metric.num_refs = num_references
        signatures[name] = str(metric.get_signature())
    return signatures


def _metrics(references: Sequence[Sequence[str]], language: str | None) -> dict[str, Any]:
    tokenizer = bleu_tokenizer(references, language)
    return {"bleu": BLEU(tokenize=tokenizer, force=True), "chrf": CHRF()}


def bleu_tokenizer(references: Sequence[Sequence[str]], language: str | None) -> str:
    """sacrebleu's `zh` for Chinese, `char` for scripts without spaces, else `13a`.

    Chinese between spaces would be single endless words, and its BLEU nearly always 0.
    """
    if language is None:
        text = "".join(text for row in references for text in row)
        letters = max(1, sum(c.isalpha() for c in text))
        if 3 * len(_KANA.findall(text)) + len(_SPACELESS.findall(text)) > 0.3 * letters:
            return "char"
        return "zh" if len(_HAN.findall(text)) > 0.3 * letters else "13a"
    if language.startswith("zh"):
        return "zh"
    return "char" if language in ("ja", "th", "lo", "my", "km") else "13a"


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """sacrebleu's way round: the k-th reference of every item, None where it has fewer."""
    most = max(map(len, references), default=0)
    return [[row[k] if k < len(row) else None for row in references] for k in range(most)]
