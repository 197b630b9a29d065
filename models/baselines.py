"""What a first champion must beat: TF-IDF of words and characters with logistic regression."""

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from models.label_scores import scorecard
from models.task_code import Examples
from records.base import digest_of
from records.scores import Scorecard, TestItems

BASELINES = ("baseline:tfidf",)
STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse regularisation; the best on validation is used, so that the opponent is a fair one."""


def score_tfidf(
    training: Examples, validation: Examples, items: TestItems, texts: Sequence[str]
) -> Scorecard:
    """Fit TF-IDF (words 1-2, characters 1-4) with logistic regression, and score the test split.

    Args:
        training: what it learns from.
        validation: chooses the regularisation.
        items: N frozen test items.
        texts: their N texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=100_000),
        TfidfVectorizer(
            analyzer="char", ngram_range=(1, 4), sublinear_tf=True, max_features=100_000
        ),
    )
    train_NF = features.fit_transform(training.texts)
    valid_NF, test_NF = features.transform(validation.texts), features.transform(texts)
    fitted = [
        LogisticRegression(C=strength, max_iter=2000, tol=1e-3).fit(train_NF, training.labels)
        for strength in STRENGTHS
    ]
    best = max(fitted, key=lambda model: float(model.score(valid_NF, validation.labels)))
    return scorecard(
        role="baseline:tfidf",
        model_digest=digest_of(
            ["tfidf", importlib.metadata.version("scikit-learn"), best.C, items.test_digest]
        ),
        items=items,
        labels=tuple(str(name) for name in best.classes_),
        probabilities=np.asarray(best.predict_proba(test_NF), dtype=np.float64),
    )
