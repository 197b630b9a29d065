"""One promotion in a process of its own: `promotions NAME DECISION TRAIN-FILE START`, by the zygote."""

import sys
import time
from pathlib import Path

from flows.settings import load_place
from records.document import TrainResult
from tasks.ledger import ChampionChanged
from tasks.promote import promote
from tasks.reconcile import reconcile
from tasks.retries import patience

LOST = 3


def main() -> None:
    """Promote at the stated instant, then reconcile, as a run does; exits with LOST if it came second."""
    name, decision, train_path, start_s = sys.argv[1:]
    place, train = load_place(), TrainResult.from_json(Path(train_path).read_bytes())
    time.sleep(max(0.0, float(start_s) - time.monotonic()))
    lost = False
    with patience(60):
        try:
            promote.fn(place, name, name, train, decision, "# card", "ann", "because")
        except ChampionChanged:
            lost = True
        reconcile.fn(place, name)
    sys.exit(LOST if lost else 0)
