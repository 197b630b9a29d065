"""The baseline: the same every time, and an opponent worth beating."""

from pathlib import Path

from models.baselines import BASELINES, score_tfidf
from models.label_scores import fingerprint
from models.task_code import Examples
from tests.models.trainings import make_items, rows


def test_tfidf_learns_what_words_tell(tmp_path: Path) -> None:
    test = rows(tmp_path, num_rows=60, first=900)
    card = score_tfidf(rows(tmp_path), rows(tmp_path, first=500), make_items(test), test.texts)
    assert (card.role,) == BASELINES
    assert card.metrics["accuracy"] == 1.0
    assert list(card.predicted) == test.labels
    assert card.model_labels == ("negative", "positive")
    assert card.fingerprint == fingerprint(make_items(test))
    assert all(0.5 <= value <= 1 for value in card.confidence)


def test_tfidf_is_the_same_every_time(tmp_path: Path) -> None:
    test = rows(tmp_path, num_rows=60, first=900, noise=7)
    parts = rows(tmp_path, noise=5), rows(tmp_path, first=500), make_items(test), test.texts
    assert score_tfidf(*parts).digest == score_tfidf(*parts).digest


def test_tfidf_on_shuffled_labels_is_no_better_than_chance(tmp_path: Path) -> None:
    test = rows(tmp_path, num_rows=200, first=900)
    training = rows(tmp_path, num_rows=200)
    blind = Examples(training.texts, ["negative", "negative", "positive", "positive"] * 50)
    card = score_tfidf(blind, rows(tmp_path, first=500), make_items(test), test.texts)
    assert 0.35 < card.metrics["accuracy"] < 0.65


def test_tfidf_counts_a_label_that_it_never_saw_as_wrong(tmp_path: Path) -> None:
    test = Examples(["good", "bad", "new"], ["positive", "negative", "neutral"])
    card = score_tfidf(rows(tmp_path), rows(tmp_path, first=500), make_items(test), test.texts)
    assert card.log_loss[2] > 27
    assert "neutral" not in card.model_labels
