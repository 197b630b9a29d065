"""Parity and budgets: the artifact as a consumer loads it, in a fresh process of its own.

`python -m models.running_cost REQUEST RESULT`. A consumer loads the folder and asks one text at a
time; that, not our batched code, is what must be right and fast enough.
"""

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.memory import peak_bytes
from models.scoring import ScoringRequest, read_texts
from models.task_code import task_code
from records.base import Record
from records.scores import Budgets, Parity, Scorecard

NUM_ROUNDS = 3


class CostRequest(Record):
    """The challenger's scoring request and what came of it."""

    scoring: ScoringRequest
    card: Scorecard


class Cost(Record):
    """What the gate wants to know of the artifact in use."""

    budgets: Budgets
    parity: Parity


def measure(request: CostRequest) -> Cost:
    """Answer seeded texts again, at batch 1, and time it."""
    texts = read_texts(Path(request.scoring.test_path), request.scoring.items)
    consumer = task_code(request.scoring.task).consumer(request.scoring)
    chosen = random.Random(request.card.model_digest).sample(
        range(len(texts)), min(consumer.num_texts, len(texts))
    )
    for i in (chosen * consumer.num_warm_ups)[: consumer.num_warm_ups]:
        consumer.answer(texts[i])
    rounds: list[list[float]] = []
    replies: list[object] = []
    for _ in range(NUM_ROUNDS):
        times_ms = []
        replies = []
        for i in chosen:
            started = time.perf_counter()
            replies.append(consumer.answer(texts[i]))
            times_ms.append((time.perf_counter() - started) * 1000)
        rounds.append(times_ms)
    folder = Path(request.scoring.model_path)
    budgets = Budgets(
        latency_p95_ms=min(float(np.percentile(times, 95)) for times in rounds),
        peak_memory_bytes=peak_bytes(),
        artifact_bytes=sum(p.stat().st_size for p in folder.iterdir() if p.is_file()),
    )
    return Cost(budgets=budgets, parity=consumer.parity(request.card, texts, chosen, replies))


def main(arguments: Sequence[str]) -> int:
    """Read a request, write the costs."""
    request_path, result_path = map(Path, arguments)
    cost = measure(CostRequest.from_json(request_path.read_bytes()))
    result_path.write_bytes(cost.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
