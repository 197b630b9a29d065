"""Translation: a saved translator scored, timed, asked, and what it must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.corpus import corpus_figures
from models.device import loading
from models.reference_scores import score_texts, signatures_of
from models.scoring import ScoringRequest, read_column, read_texts, take_fingerprint
from models.task_code import Examples, Scored
from models.translation_lesson import TranslationLesson
from models.translator import BATCH_RULE, Translator
from models.writer import WriterConsumer, WriterPredictor, digest_text
from records.base import digest_of
from records.scores import Fingerprint, Scorecard
from records.text import normalise

MODULES = ("corpus", "device", "reference_scores", "scoring", "translation", "translator", "writer")
"""Whose code can move a score."""


class Code:
    """What is different about translations; see models/task_code.py."""

    baselines = ("baseline:copy",)
    judges_base = True
    training_modules = ("corpus", "reference_scores", "translation_lesson", "translator")
    lesson = TranslationLesson

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        """With the signature of each metric, which names tokenizer and number of references."""
        references = read_column(Path(request.test_path), request.items, "references")
        return take_fingerprint(
            request.items, MODULES, BATCH_RULE, signatures_of(references, request.language)
        )

    def score(self, request: ScoringRequest) -> Scored:
        """What the saved translator writes, against the references."""
        sources = read_texts(Path(request.test_path), request.items)
        translator = load_translator(Path(request.model_path), **request.generation)
        outputs = translator(sources)
        return judge_outputs(request, sources, outputs, num_truncated=translator.num_truncated)

    def consumer(self, request: ScoringRequest) -> WriterConsumer:
        return WriterConsumer(load_translator(Path(request.model_path)))

    def predictor(self, path: Path) -> WriterPredictor:
        return WriterPredictor(load_translator(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """The source itself: names, numbers and loan words are right in it."""
        sources = read_texts(Path(request.test_path), request.items)
        digest = digest_of(["copy", request.items.test_digest])
        copying = request.model_copy(update={"role": "baseline:copy", "model_digest": digest})
        return [judge_outputs(copying, sources, sources)]


def load_translator(path: Path, **settings: Any) -> Translator:
    """A saved translator; raises UnknownBase where the folder cannot be loaded as one."""
    with loading(f"the translator in {path.name!r}"):
        return Translator(path, **settings)


def judge_outputs(
    request: ScoringRequest,
    sources: Sequence[str],
    outputs: Sequence[str],
    *,
    num_truncated: int = 0,
) -> Scored:
    """The scorecard of N translations: integers per item, digests instead of texts."""
    references = read_column(Path(request.test_path), request.items, "references")
    found = score_texts(outputs, references, language=request.language)
    num_chars = max(1, sum(len(row[0]) for row in references))
    copies = sum(normalise(a) == normalise(b) for a, b in zip(sources, outputs, strict=True))
    card = Scorecard(
        role=request.role,
        model_digest=request.model_digest,
        fingerprint=Code().fingerprint(request),
        item_ids=request.items.item_ids,
        predicted=tuple(map(digest_text, outputs)),
        num_truncated=num_truncated,
        metrics={
            **corpus_figures(found.statistics),
            "length_ratio": sum(map(len, outputs)) / num_chars,
            "copy_rate": copies / max(1, len(outputs)),
        },
        statistics=found.statistics,
    )
    return Scored(card, list(outputs))
