"""Scores of a saved artifact, taken in a fresh process: `python -m models.scoring REQUEST RESULT`.

Nothing that was in the trainer's memory can reach a score: the folder on disk is all there is.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from models.device import code_digest, device_class, library_versions
from models.errors import ModelError
from models.task_code import task_code
from records.base import Record
from records.scores import SCORING_VERSION, Fingerprint, Parity, Scorecard, TestItems
from records.task import Task


class ScoringRequest(Record):
    """What to score, by path."""

    role: str
    model_path: str
    model_digest: str
    test_path: str
    """Parquet with text, item_id and group; label, or references where texts are to be written."""
    items: TestItems
    task: Task = "classification"
    language: str | None = None
    """Of the texts to be written, where the recipe says it."""
    generation: dict[str, JsonValue] = {}
    """Settings in place of those in the model's folder: an untuned base has none of ours."""
    max_length: int | None = None
    """Longest text in tokens, where the model's folder does not say it: an untuned base."""
    chat_template: str = "model"
    """plain: for an untuned base that has none; see train.chat_template."""
    outputs_path: str = ""
    """Where the texts go that the model writes; they are no part of a scorecard."""


def take_fingerprint(
    items: TestItems,
    modules: Sequence[str],
    batch_rule: str,
    signatures: dict[str, str] | None = None,
) -> Fingerprint:
    """The fingerprint of scores taken here and now.

    Args:
        items: that are scored.
        modules: of this room, whose code can move a score.
        batch_rule: how rows come together in batches.
        signatures: metric -> how it is computed, where that is not fixed.
    """
    return Fingerprint(
        test_digest=items.test_digest,
        scoring_version=SCORING_VERSION,
        code_digest=code_digest(*modules),
        libraries=library_versions(),
        device=device_class(),
        dtype="fp32",
        batch_rule=batch_rule,
        signatures=signatures or {},
    )


def fingerprint_of(request: ScoringRequest) -> Fingerprint:
    """What two scorecards must share to be comparable."""
    return task_code(request.task).fingerprint(request)


def read_column(test_path: Path, items: TestItems, column: str) -> list[Any]:
    """A column's values of `items`, in their order.

    Raises:
        KeyError: an item is not in the file.
    """
    table = pq.read_table(test_path, columns=["item_id", column])
    values = dict(zip(table["item_id"].to_pylist(), table[column].to_pylist(), strict=True))
    return [values[item_id] for item_id in items.item_ids]


def read_texts(test_path: Path, items: TestItems) -> list[str]:
    """The texts of `items`, in their order; raises KeyError for an item that is not in the file."""
    return read_column(test_path, items, "text")


def parity_of(gaps: Sequence[float], num_equal: int) -> Parity:
    """What a consumer's answers differ by from those that were scored.

    Args:
        gaps: differences of probabilities or losses, one per text.
        num_equal: texts that got the same answer.
    """
    largest = float(np.max(gaps))  # keeps a NaN, where `max` may lose it
    return Parity(num_compared=len(gaps), num_equal_labels=num_equal, max_abs_difference=largest)


def failed_scorecard(request: ScoringRequest, error: str) -> Scorecard:
    """The scorecard of a model that could not be scored: the gate refuses it."""
    return Scorecard(
        role=request.role,
        model_digest=request.model_digest,
        fingerprint=fingerprint_of(request),
        error=error,
    )


def score(request: ScoringRequest) -> Scorecard:
    """Load the artifact and score it; a model that cannot be loaded gives a card with `error`."""
    try:
        scored = task_code(request.task).score(request)
    except ModelError as exc:
        return failed_scorecard(request, str(exc))
    if request.outputs_path and scored.outputs is not None:
        write_outputs(request, scored.outputs)
    return scored.card


def write_outputs(request: ScoringRequest, outputs: Sequence[str]) -> None:
    """One row per item: its id, and the text that the model wrote."""
    columns = {"item_id": list(request.items.item_ids), "output": list(outputs)}
    pq.write_table(pa.table(columns), request.outputs_path)


def main(arguments: Sequence[str]) -> int:
    """Read a request, write a scorecard."""
    request_path, result_path = map(Path, arguments)
    card = score(ScoringRequest.from_json(request_path.read_bytes()))
    result_path.write_bytes(card.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
