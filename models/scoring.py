"""Scores of a saved artifact, taken in a fresh process: `python -m models.scoring REQUEST RESULT`.

Nothing that was in the trainer's memory can reach a score: the folder on disk is all there is.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from models.device import code_digest, device_class, library_versions
from models.errors import ModelError
from models.metrics import UNKNOWN_LABEL_LOSS, figures
from models.predict import BATCH_RULE, Classifier
from records.base import Record
from records.scores import SCORING_VERSION, Fingerprint, Scorecard, TestItems

SMALLEST_PROBABILITY = 1e-12


class ScoringRequest(Record):
    """What to score, by path."""

    role: str
    model_path: str
    model_digest: str
    test_path: str
    """Parquet with text, label, item_id and group."""
    items: TestItems


def fingerprint(items: TestItems) -> Fingerprint:
    """What two scorecards must share to be comparable."""
    return Fingerprint(
        test_digest=items.test_digest,
        scoring_version=SCORING_VERSION,
        code_digest=code_digest("device", "encode", "metrics", "predict", "scoring"),
        libraries=library_versions(),
        device=device_class(),
        dtype="fp32",
        batch_rule=BATCH_RULE,
    )


def read_texts(test_path: Path, items: TestItems) -> list[str]:
    """The texts of `items`, in their order.

    Raises:
        KeyError: an item is not in the file.
    """
    table = pq.read_table(test_path, columns=["item_id", "text"])
    texts = dict(zip(table["item_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    return [texts[item_id] for item_id in items.item_ids]


def scorecard(
    *,
    role: str,
    model_digest: str,
    items: TestItems,
    labels: tuple[str, ...],
    probabilities: np.ndarray,
    num_truncated: int = 0,
) -> Scorecard:
    """Per-item scores of one model.

    Args:
        role: challenger, champion, anchor or baseline:<name>.
        model_digest: of the artifact.
        items: N frozen test items.
        labels: the model's C labels, in the order of its outputs.
        probabilities: (N, C), rows as `items`.
        num_truncated: texts that were cut.
    """
    index = {name: i for i, name in enumerate(labels)}
    best_N = probabilities.argmax(axis=1)
    predicted = tuple(labels[k] for k in best_N)
    confidence = tuple(float(probabilities[i, k]) for i, k in enumerate(best_N))
    log_loss = tuple(
        -math.log(max(float(probabilities[i, index[y]]), SMALLEST_PROBABILITY))
        if y in index
        else UNKNOWN_LABEL_LOSS
        for i, y in enumerate(items.labels)
    )
    return Scorecard(
        role=role,
        model_digest=model_digest,
        fingerprint=fingerprint(items),
        model_labels=labels,
        item_ids=items.item_ids,
        predicted=predicted,
        log_loss=log_loss,
        confidence=confidence,
        num_truncated=num_truncated,
        metrics=figures(items.labels, predicted, log_loss, confidence),
    )


def failed_scorecard(role: str, model_digest: str, items: TestItems, error: str) -> Scorecard:
    """The scorecard of a model that could not be scored: the gate refuses it."""
    return Scorecard(
        role=role, model_digest=model_digest, fingerprint=fingerprint(items), error=error
    )


def score(request: ScoringRequest) -> Scorecard:
    """Load the artifact and score it; a model that cannot be loaded gives a card with `error`."""
    texts = read_texts(Path(request.test_path), request.items)
    try:
        classifier = Classifier.load(Path(request.model_path))
    except ModelError as exc:
        return failed_scorecard(request.role, request.model_digest, request.items, str(exc))
    probabilities_NC, num_truncated = classifier.probabilities(texts)
    return scorecard(
        role=request.role,
        model_digest=request.model_digest,
        items=request.items,
        labels=classifier.labels,
        probabilities=probabilities_NC,
        num_truncated=num_truncated,
    )


def main(arguments: Sequence[str]) -> int:
    """Read a request, write a scorecard."""
    request_path, result_path = map(Path, arguments)
    card = score(ScoringRequest.from_json(request_path.read_bytes()))
    result_path.write_bytes(card.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
