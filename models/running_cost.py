"""Parity and budgets: the artifact as a consumer loads it, in a fresh process of its own.

`python -m models.running_cost REQUEST RESULT`. A consumer builds transformers' pipeline from the
folder, one text at a time; that, not our batched code, is what must be right and fast enough.
"""

import random
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.device import hide_loading_bars
from models.encode import load_tokenizer
from models.scoring import ScoringRequest, read_texts
from records.base import Record
from records.scores import Budgets, Parity, Scorecard

NUM_TEXTS = 200
NUM_WARM_UPS = 20
NUM_ROUNDS = 3


class CostRequest(Record):
    """The challenger's scoring request and what came of it."""

    scoring: ScoringRequest
    card: Scorecard


class Cost(Record):
    """What the gate wants to know of the artifact in use."""

    budgets: Budgets
    parity: Parity


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


def measure(request: CostRequest) -> Cost:
    """Answer seeded texts again, at batch 1, and time it."""
    texts = read_texts(Path(request.scoring.test_path), request.scoring.items)
    chosen = random.Random(request.card.model_digest).sample(
        range(len(texts)), min(NUM_TEXTS, len(texts))
    )
    answer = load_pipeline(Path(request.scoring.model_path))
    for i in (chosen * NUM_WARM_UPS)[:NUM_WARM_UPS]:
        answer(texts[i])
    rounds: list[list[float]] = []
    replies: list[dict[str, Any]] = []
    for _ in range(NUM_ROUNDS):
        times_ms = []
        replies = []
        for i in chosen:
            started = time.perf_counter()
            replies += answer(texts[i])
            times_ms.append((time.perf_counter() - started) * 1000)
        rounds.append(times_ms)
    folder = Path(request.scoring.model_path)
    budgets = Budgets(
        latency_p95_ms=min(float(np.percentile(times, 95)) for times in rounds),
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        artifact_bytes=sum(p.stat().st_size for p in folder.iterdir() if p.is_file()),
    )
    return Cost(budgets=budgets, parity=_compare(request.card, chosen, replies))


def _compare(card: Scorecard, chosen: Sequence[int], replies: Sequence[dict[str, Any]]) -> Parity:
    gaps = [
        abs(card.confidence[i] - reply["score"]) for i, reply in zip(chosen, replies, strict=True)
    ]
    same = sum(card.predicted[i] == r["label"] for i, r in zip(chosen, replies, strict=True))
    largest = float(np.max(gaps))  # keeps a NaN, where `max` may lose it
    return Parity(num_compared=len(gaps), num_equal_labels=same, max_abs_difference=largest)


def main(arguments: Sequence[str]) -> int:
    """Read a request, write the costs."""
    request_path, result_path = map(Path, arguments)
    cost = measure(CostRequest.from_json(request_path.read_bytes()))
    result_path.write_bytes(cost.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
