"""Classification: a saved classifier scored, timed, asked, and what it must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.baselines import BASELINES, score_tfidf
from models.classification_lesson import ClassificationLesson
from models.device import hide_loading_bars
from models.encode import load_tokenizer
from models.label_scores import fingerprint, scorecard
from models.predict import Classifier
from models.scoring import ScoringRequest, parity_of, read_texts
from models.task_code import Examples, Scored
from records.scores import Fingerprint, Parity, Scorecard


class Code:
    """What is different about labels; see models/task_code.py."""

    baselines = BASELINES
    judges_base = False
    training_modules = ("classification_lesson", "contrast", "features", "metrics", "predict")
    lesson = ClassificationLesson

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        return fingerprint(request.items)

    def score(self, request: ScoringRequest) -> Scored:
        """Probabilities of the saved classifier on every item."""
        texts = read_texts(Path(request.test_path), request.items)
        classifier = Classifier.load(Path(request.model_path))
        probabilities_NC, num_truncated = classifier.probabilities(texts)
        return Scored(
            scorecard(
                role=request.role,
                model_digest=request.model_digest,
                items=request.items,
                labels=classifier.labels,
                probabilities=probabilities_NC,
                num_truncated=num_truncated,
            )
        )

    def consumer(self, request: ScoringRequest) -> "PipelineConsumer":
        return PipelineConsumer(Path(request.model_path))

    def predictor(self, path: Path) -> "LabelPredictor":
        return LabelPredictor(Classifier.load(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """TF-IDF with logistic regression."""
        texts = read_texts(Path(request.test_path), request.items)
        return [Scored(score_tfidf(training, validation, request.items, texts))]


class PipelineConsumer:
    """transformers' pipeline, as a consumer builds it, one text at a time."""

    num_texts = 200
    num_warm_ups = 20

    def __init__(self, model_path: Path) -> None:
        self._pipeline = load_pipeline(model_path)

    def answer(self, text: str) -> Any:
        return self._pipeline(text)[0]

    def parity(
        self, card: Scorecard, texts: Sequence[str], chosen: Sequence[int], replies: Sequence[Any]
    ) -> Parity:
        """Labels and probabilities of the texts that were timed."""
        pairs = list(zip(chosen, replies, strict=True))
        gaps = [abs(card.confidence[i] - reply["score"]) for i, reply in pairs]
        same = sum(card.predicted[i] == reply["label"] for i, reply in pairs)
        return parity_of(gaps, same)


class LabelPredictor:
    """The best label of each text, with its probability."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def predict(self, texts: Sequence[str]) -> list[dict[str, str | float]]:
        """Label and probability."""
        probabilities_NC, _ = self._classifier.probabilities(texts)
        labels = self._classifier.labels
        return [
            {"text": text, "label": labels[int(row.argmax())], "score": float(row.max())}
            for text, row in zip(texts, probabilities_NC, strict=True)
        ]


def load_pipeline(model_path: Path) -> Any:
    """The pipeline that a consumer builds; it cuts texts where training and scoring cut them."""
    from transformers import pipeline

    hide_loading_bars()
    return pipeline(
        "text-classification",
        model=str(model_path),
        tokenizer=load_tokenizer(model_path),
        truncation=True,
        trust_remote_code=False,
    )
