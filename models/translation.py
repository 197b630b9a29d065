"""Translation: a saved translator scored, timed, asked, and what it must beat."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from models.base import Base
from models.config import TrainConfig
from models.corpus import corpus_figures
from models.device import code_digest, device_class, hide_loading_bars, library_versions
from models.errors import UnknownBase
from models.reference_scores import score_texts, signatures_of
from models.scoring import ScoringRequest, read_column, read_texts
from models.task_code import Examples, Scored
from models.translation_lesson import TranslationLesson
from models.translator import BATCH_RULE, Translator
from records.base import digest_of, sha256
from records.scores import SCORING_VERSION, Fingerprint, Parity, Scorecard
from records.text import normalise

MODULES = ("corpus", "device", "reference_scores", "scoring", "translation", "translator")
"""Whose code can move a score."""
PARITY_BATCHES = 4


class Code:
    """What is different about translations; see models/task_code.py."""

    baselines = ("baseline:copy",)
    judges_base = True
    training_modules = ("corpus", "reference_scores", "translation_lesson", "translator")

    def lesson(
        self,
        *,
        base: Base,
        config: TrainConfig,
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
    ) -> TranslationLesson:
        return TranslationLesson(
            base=base, config=config, labels=labels, training=training, validation=validation
        )

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        """With the signature of each metric, which names tokenizer and number of references."""
        references = read_column(Path(request.test_path), request.items, "references")
        return Fingerprint(
            test_digest=request.items.test_digest,
            scoring_version=SCORING_VERSION,
            code_digest=code_digest(*MODULES),
            libraries=library_versions(),
            device=device_class(),
            dtype="fp32",
            batch_rule=BATCH_RULE,
            signatures=signatures_of(references, request.language),
        )

    def score(self, request: ScoringRequest) -> Scored:
        """What the saved translator writes, against the references."""
        sources = read_texts(Path(request.test_path), request.items)
        translator = load_translator(Path(request.model_path), **request.generation)
        outputs = translator(sources)
        return judge_outputs(request, sources, outputs, num_truncated=translator.num_truncated)

    def consumer(self, request: ScoringRequest) -> "TranslatorConsumer":
        return TranslatorConsumer(load_translator(Path(request.model_path)))

    def predictor(self, path: Path) -> "TranslationPredictor":
        return TranslationPredictor(load_translator(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """The source itself: names, numbers and loan words are right in it."""
        sources = read_texts(Path(request.test_path), request.items)
        digest = digest_of(["copy", request.items.test_digest])
        copying = request.model_copy(update={"role": "baseline:copy", "model_digest": digest})
        return [judge_outputs(copying, sources, sources)]


class TranslatorConsumer:
    """The translator that is shipped, one text at a time."""

    num_texts = 40
    num_warm_ups = 4

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    def answer(self, text: str) -> str:
        return self._translator([text])[0]

    def parity(
        self,
        card: Scorecard,
        texts: Sequence[str],
        chosen: Sequence[int],
        replies: Sequence[object],
    ) -> Parity:
        """Whole batches of the scoring, written again: alone, a text may round to another beam."""
        batches = [batch for batch, _ in self._translator.batches(texts)]
        picked = random.Random(card.model_digest).sample(batches, min(PARITY_BATCHES, len(batches)))
        compared = [place for batch in picked for place in batch]
        outputs = [out for b in picked for out in self._translator([texts[place] for place in b])]
        same = sum(
            digest_text(output) == card.predicted[place]
            for place, output in zip(compared, outputs, strict=True)
        )
        return Parity(num_compared=len(compared), num_equal_labels=same, max_abs_difference=0.0)


class TranslationPredictor:
    """One translation of each text."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        """The translation."""
        outputs = self._translator(texts)
        return [{"text": a, "output": b} for a, b in zip(texts, outputs, strict=True)]


def load_translator(path: Path, **settings: Any) -> Translator:
    """A saved translator; raises UnknownBase where the folder cannot be loaded as one."""
    hide_loading_bars()
    try:
        return Translator(path, **settings)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as exc:
        raise UnknownBase(f"the translator in {path.name!r} cannot be loaded: {exc}") from exc


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


def digest_text(text: str) -> str:
    """What stands for a text in a record, which holds none."""
    return sha256(text.encode("utf-8", "surrogatepass"))[:16]
