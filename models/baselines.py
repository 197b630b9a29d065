"""What a first champion must beat: TF-IDF of words and characters with logistic regression.

Shapes: N rows, F features, C labels.
"""

import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.corpus import micro_f1
from models.label_scores import scorecard
from models.set_scores import carried, set_scorecard, tune_thresholds
from models.task_code import Examples
from records.base import digest_of
from records.labels import read_labels
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
    from sklearn.linear_model import LogisticRegression

    train_NF, valid_NF, test_NF = _features(training.texts, validation.texts, texts)
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


def score_tfidf_sets(
    training: Examples, validation: Examples, items: TestItems, texts: Sequence[str]
) -> Scorecard:
    """The same features with one logistic regression per label; validation chooses the
    regularisation and the thresholds, as it does for the challenger."""
    train_NF, valid_NF, test_NF = _features(training.texts, validation.texts, texts)
    labels = sorted({name for answer in training.labels for name in read_labels(answer)})
    train_NC, valid_NC = carried(training.labels, labels), carried(validation.labels, labels)
    tried = []
    for strength in STRENGTHS:
        parts = [_fit_label(train_NF, y_N, strength, (valid_NF, test_NF)) for y_N in train_NC.T]
        valid_p, test_p = (np.stack(columns, axis=1) for columns in zip(*parts, strict=True))
        thresholds = np.array(tune_thresholds(valid_p, valid_NC))
        value = _micro_f1(valid_p >= thresholds, valid_NC)
        tried.append((value, -strength, test_p, test_p >= thresholds))
    _, strength, probabilities_NC, given_NC = max(tried, key=lambda one: one[:2])
    return set_scorecard(
        role="baseline:tfidf",
        model_digest=digest_of(
            ["tfidf sets", importlib.metadata.version("scikit-learn"), -strength, items.test_digest]
        ),
        items=items,
        labels=labels,
        probabilities=probabilities_NC,
        given=given_NC,
    )


def score_constant_set(training: Examples, items: TestItems) -> Scorecard:
    """The most frequent set for every text, and how frequent each label is as its probability."""
    labels = sorted({name for answer in training.labels for name in read_labels(answer)})
    frequent = Counter(training.labels)
    answer = min(frequent, key=lambda one: (-frequent[one], one))
    shares_C = carried(training.labels, labels).mean(axis=0)
    num_items = len(items.item_ids)
    return set_scorecard(
        role="baseline:majority",
        model_digest=digest_of(["majority", answer, items.test_digest]),
        items=items,
        labels=labels,
        probabilities=np.tile(shares_C, (num_items, 1)),
        given=np.tile(carried([answer], labels), (num_items, 1)),
    )


def _features(training: Sequence[str], *others: Sequence[str]) -> list[Any]:
    """TF-IDF of words 1-2 and characters 1-4, fitted on the first texts; sparse [N, F] of each."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=100_000),
        TfidfVectorizer(
            analyzer="char", ngram_range=(1, 4), sublinear_tf=True, max_features=100_000
        ),
    )
    return [features.fit_transform(training), *map(features.transform, others)]


def _fit_label(
    train_NF: Any, y_N: NDArray[np.bool_], strength: float, others: Sequence[Any]
) -> list[NDArray[np.float64]]:
    """Probabilities of one label on each of the other splits; a constant where it never varies."""
    from sklearn.linear_model import LogisticRegression

    if y_N.all() or not y_N.any():
        return [np.full(rows.shape[0], float(y_N[0])) for rows in others]
    fitted = LogisticRegression(C=strength, max_iter=2000, tol=1e-3).fit(train_NF, y_N)
    return [np.asarray(fitted.predict_proba(rows)[:, 1], dtype=np.float64) for rows in others]


def _micro_f1(given_NC: NDArray[np.bool_], true_NC: NDArray[np.bool_]) -> float:
    sums = [[true_NC.sum(), given_NC.sum(), (given_NC & true_NC).sum()]]
    return float(micro_f1(np.array(sums, dtype=np.int64))[0])
