"""Several labels per text: a saved model scored, timed, asked, and what it must beat."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.baselines import score_constant_set, score_tfidf_sets
from models.device import loading
from models.errors import UnknownBase
from models.multilabel_lesson import MultilabelLesson
from models.predict import Classifier, has_several
from models.scoring import ScoringRequest, parity_of, read_texts
from models.set_scores import confidences, fingerprint, set_scorecard
from models.tagger import Tagger, thresholds_of
from models.task_code import Answer, Examples, Scored
from records.labels import write_labels
from records.scores import Fingerprint, Parity, Scorecard


class Code:
    """What is different about sets of labels; see models/task_code.py."""

    baselines = ("baseline:tfidf", "baseline:majority")
    judges_base = False
    training_modules = (
        "classification_lesson", "contrast", "corpus", "features", "label_scores", "metrics",
        "multilabel_lesson", "predict", "set_scores", "tagger",
    )  # fmt: skip
    lesson = MultilabelLesson

    def fingerprint(self, request: ScoringRequest) -> Fingerprint:
        return fingerprint(request.items)

    def score(self, request: ScoringRequest) -> Scored:
        """Probabilities of the saved classifier on every item, and its sets by its own thresholds."""
        texts = read_texts(Path(request.test_path), request.items)
        classifier = _load(Path(request.model_path))
        probabilities_NC, num_truncated = classifier.probabilities(texts)
        return Scored(
            set_scorecard(
                role=request.role,
                model_digest=request.model_digest,
                items=request.items,
                labels=classifier.labels,
                probabilities=probabilities_NC,
                given=probabilities_NC >= np.array(thresholds_of(classifier.model.config)),
                num_truncated=num_truncated,
            )
        )

    def consumer(self, request: ScoringRequest) -> "TaggerConsumer":
        return TaggerConsumer(Path(request.model_path))

    def predictor(self, path: Path) -> "SetPredictor":
        return SetPredictor(_load(path))

    def score_baselines(
        self, request: ScoringRequest, training: Examples, validation: Examples
    ) -> list[Scored]:
        """TF-IDF with one logistic regression per label, and the most frequent set."""
        texts = read_texts(Path(request.test_path), request.items)
        return [
            Scored(score_tfidf_sets(training, validation, request.items, texts)),
            Scored(score_constant_set(training, request.items)),
        ]


class TaggerConsumer:
    """What is logged in the registry, as a consumer loads it, one text at a time."""

    num_texts = 200
    num_warm_ups = 20

    def __init__(self, model_path: Path) -> None:
        with loading(f"the model in {model_path.name!r}"):
            self._tagger = Tagger(model_path)

    def answer(self, text: str) -> list[float]:
        """Probabilities [C], all of an answer that takes time."""
        return self._tagger.probabilities([text])[0]

    def parity(
        self,
        card: Scorecard,
        texts: Sequence[str],
        chosen: Sequence[int],
        replies: Sequence[object],
    ) -> Parity:
        """Sets of the texts that were timed, and the probabilities of whole sets."""
        probabilities_NC = np.array(replies, dtype=np.float64)
        given_NC = probabilities_NC >= np.array(self._tagger.thresholds)
        sets = self._tagger([texts[i] for i in chosen])
        sure = confidences(probabilities_NC, given_NC)
        gaps = [abs(card.confidence[i] - p) for i, p in zip(chosen, sure, strict=True)]
        same = sum(
            card.predicted[i] == write_labels(names) for i, names in zip(chosen, sets, strict=True)
        )
        return parity_of(gaps, same)


class SetPredictor:
    """The labels of each text with their probabilities, the likeliest first."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._thresholds = np.array(thresholds_of(classifier.model.config))

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """Labels, which may be none, and the probability of each."""
        probabilities_NC, _ = self._classifier.probabilities(texts)
        return [self._answer(text, row) for text, row in zip(texts, probabilities_NC, strict=True)]

    def _answer(self, text: str, row: np.ndarray) -> Answer:
        given = np.flatnonzero(row >= self._thresholds)
        order = [int(k) for k in sorted(given, key=lambda k: -row[k])]
        labels = [self._classifier.labels[k] for k in order]
        return {"text": text, "labels": labels, "scores": [float(row[k]) for k in order]}


def _load(path: Path) -> Classifier:
    """A saved model; raises UnknownBase where it is none that decides on each label."""
    classifier = Classifier.load(path)
    if not has_several(classifier.model):
        raise UnknownBase(
            f"the model in {path.name!r} gives one label (problem_type "
            f"{classifier.model.config.problem_type!r}); task multilabel needs several"
        )
    return classifier
