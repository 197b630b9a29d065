"""Evaluate: every judged model on the same frozen items, each in a fresh process."""

import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd
from prefect import task

from models.base import read_lineage
from models.baselines import score_tfidf
from models.running_cost import Cost, CostRequest
from models.scoring import ScoringRequest, failed_scorecard, fingerprint
from records.base import Record, sha256
from records.data import DataRef
from records.decision import LineageOverlap
from records.evaluation import Candidate, Evaluation
from records.policy import SlicePolicy
from records.scores import Scorecard, TestItems
from tasks.check import read_split
from tasks.objects import CorruptObject, IncompletePayload, MissingObject, Store
from tasks.payload import open_folder
from tasks.place import Place
from tasks.retries import RETRIED
from tasks.train import labelled_texts

log = logging.getLogger("refit")

LENGTH_BOUNDS = (20, 60, 200)
"""Characters; the slice column `length` where the data brings none of its own."""


class ScoringCrashed(RuntimeError):
    """A scoring process was killed (out of memory, a signal): a fault, not a verdict."""


@task(name="evaluate", task_run_name="score challenger and champion on the same items", **RETRIED)
def evaluate(
    place: Place,
    data: DataRef,
    slices: SlicePolicy,
    candidates: tuple[Candidate, ...],
    with_baselines: bool,
) -> str:
    """Score all candidates, measure the challenger's costs, and store the evaluation.

    Returns:
        Key of the Evaluation in the store.

    Raises:
        ScoringCrashed: a process was killed from outside.
    """
    store = place.open()
    test = read_split(store, data.split("test"), place.cache)
    folders = {c.role: _open_model(store, place, c) for c in candidates}
    lineage, overlapping = overlap(test, {r: f for r, f in folders.items() if isinstance(f, Path)})
    kept = test[~test["group"].isin(overlapping)]
    items = test_items(kept, slices)
    with place.scratch() as scratch:
        test_path = scratch / "test.parquet"
        kept.to_parquet(test_path, index=False)
        cards = [
            _card(store, candidate, folders[candidate.role], items, test_path)
            for candidate in candidates
        ]
        cost = _running_cost(store, candidates[0], folders, items, test_path, cards[0])
    if with_baselines:
        cards.append(_baseline(store, place, data, items, kept))
    evaluation = Evaluation(
        items=items,
        cards=tuple(cards),
        lineage=lineage,
        budgets=cost.budgets if cost else None,
        parity=cost.parity if cost else None,
    )
    content = evaluation.to_json()
    key = f"evaluations/{sha256(content)}.json"
    store.write(key, content)
    return key


def test_items(test: pd.DataFrame, slices: SlicePolicy) -> TestItems:
    """The frozen items of a test split, with the declared slice columns (`label` is derived)."""
    columns = {name: _slice_column(test, name) for name in slices.columns if name != "label"}
    return TestItems(
        item_ids=tuple(test["item_id"]),
        groups=tuple(test["group"]),
        labels=tuple(test["label"]),
        slices=columns,
    )


def overlap(test: pd.DataFrame, folders: dict[str, Path]) -> tuple[LineageOverlap, frozenset[str]]:
    """Test groups that a judged model was trained on, by role, and all of them together."""
    groups = frozenset(test["group"])
    found: dict[str, frozenset[str]] = {}
    unknown = []
    for role, folder in folders.items():
        lineage, is_complete = read_lineage(folder)
        found[role] = groups & lineage
        if not is_complete:
            unknown.append(role)
    together = frozenset().union(*found.values()) if found else frozenset()
    report = LineageOverlap(
        num_test_groups=len(groups),
        num_dropped={role: len(shared) for role, shared in found.items()},
        num_dropped_total=len(together),
        unknown=tuple(unknown),
    )
    return report, together


def _slice_column(test: pd.DataFrame, name: str) -> tuple[str, ...]:
    if f"attribute.{name}" in test:
        return tuple(test[f"attribute.{name}"].fillna("(none)"))
    if name == "length":
        return tuple(_length_bucket(len(text)) for text in test["text"])
    raise ValueError(f"gate.slices.columns: {name!r} is no attribute of the rows")


def _length_bucket(num_chars: int) -> str:
    low = 0
    for bound in LENGTH_BOUNDS:
        if num_chars <= bound:
            return f"{low}-{bound} characters"
        low = bound + 1
    return f"over {LENGTH_BOUNDS[-1]} characters"


def _open_model(store: Store, place: Place, candidate: Candidate) -> Path | str:
    """The model's folder, or why it cannot be had: the gate refuses what cannot be loaded."""
    try:
        return open_folder(store, candidate.model_key, place.cache)
    except (CorruptObject, IncompletePayload, MissingObject) as exc:
        return str(exc)


def _card(
    store: Store, candidate: Candidate, folder: Path | str, items: TestItems, test_path: Path
) -> Scorecard:
    """The model's scorecard under today's fingerprint; taken once, whatever role it plays."""
    if isinstance(folder, str):
        return failed_scorecard(candidate.role, candidate.model_digest, items, folder)
    key = f"scores/{candidate.model_digest}/{fingerprint(items).digest}.json"
    if store.exists(key):
        card = Scorecard.from_json(store.read(key))
        return card.model_copy(update={"role": candidate.role})
    request = ScoringRequest(
        role=candidate.role,
        model_path=str(folder),
        model_digest=candidate.model_digest,
        test_path=str(test_path),
        items=items,
    )
    log.info("scoring the %s on %d test items", candidate.role, len(items.item_ids))
    answer = run_fresh("models.scoring", request, test_path.parent)
    if isinstance(answer, str):
        return failed_scorecard(candidate.role, candidate.model_digest, items, answer)
    card = Scorecard.from_json(answer)
    if not card.error:
        store.write(key, card.to_json())
    return card


def _running_cost(
    store: Store,
    challenger: Candidate,
    folders: dict[str, Path | str],
    items: TestItems,
    test_path: Path,
    card: Scorecard,
) -> Cost | None:
    """Parity and budgets of the challenger, measured once; None where that failed."""
    folder = folders[challenger.role]
    if card.error or isinstance(folder, str) or not items.item_ids:
        return None
    key = f"costs/{challenger.model_digest}/{card.fingerprint.digest}.json"
    if store.exists(key):
        return Cost.from_json(store.read(key))
    scoring = ScoringRequest(
        role=challenger.role,
        model_path=str(folder),
        model_digest=challenger.model_digest,
        test_path=str(test_path),
        items=items,
    )
    request = CostRequest(scoring=scoring, card=card)
    log.info("loading the saved model afresh: parity, latency, memory")
    answer = run_fresh("models.running_cost", request, test_path.parent)
    if isinstance(answer, str):
        log.error("the saved model could not be measured: %s", answer)
        return None
    store.write(key, answer)
    return Cost.from_json(answer)


def run_fresh(module: str, request: Record, scratch: Path) -> bytes | str:
    """Run a module of models/ in a new process; its result, or the last line of its failure.

    Raises:
        ScoringCrashed: it was killed by a signal.
    """
    asked, answered = scratch / "request.json", scratch / "result.json"
    asked.write_bytes(request.to_json())
    done = subprocess.run(
        [sys.executable, "-m", module, str(asked), str(answered)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode < 0:
        raise ScoringCrashed(f"{module} was killed by signal {-done.returncode}; run again")
    if done.returncode > 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return f"{module} failed: {lines[-1]}"
    return answered.read_bytes()


def _baseline(
    store: Store, place: Place, data: DataRef, items: TestItems, test: pd.DataFrame
) -> Scorecard:
    log.info("no champion yet: training the baseline to beat")
    training = labelled_texts(read_split(store, data.split("train"), place.cache))
    validation = labelled_texts(read_split(store, data.split("validation"), place.cache))
    return score_tfidf(training, validation, items, test["text"].tolist())
