"""Evaluate: every judged model on the same frozen items, each in a fresh process."""

import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd

from data_checks.items import as_items, slice_column
from models.base import read_lineage
from models.config import BaseConfig, TrainConfig
from models.device import code_digest
from models.running_cost import Cost, CostRequest
from models.scoring import ScoringRequest, failed_scorecard, fingerprint_of, write_outputs
from models.task_code import task_code
from records.base import Record, digest_of
from records.data import DataRef
from records.decision import LineageOverlap
from records.evaluation import Candidate, Evaluation
from records.personal import mask
from records.policy import SlicePolicy
from records.scores import Scorecard, TestItems
from records.task import TASKS, Task
from tasks.check import read_split
from tasks.kept import kept_task, was_found
from tasks.objects import CorruptObject, IncompletePayload, MissingObject, Store
from tasks.payload import open_folder
from tasks.place import Place
from tasks.stamped import read_stamped, write_stamped
from tasks.train import examples_of, find_base

log = logging.getLogger("refit")


NO_ROOM = ("MemoryError", "OutOfMemoryError", "can't allocate memory", "No space left on device")
"""Last words of a process that say something about this machine, and nothing about the model."""


class ScoringCrashed(RuntimeError):
    """A scoring process was killed (out of memory, a signal): a fault, not a verdict."""


@kept_task(name="evaluate", run_name="score challenger and champion on the same items")
def evaluate(
    place: Place,
    data: DataRef,
    slices: SlicePolicy,
    candidates: tuple[Candidate, ...],
    with_baselines: bool,
    base: BaseConfig | None = None,
    train: TrainConfig | None = None,
) -> str:
    """Score all candidates, measure the challenger's costs, and store the evaluation.

    Args:
        place: where things are.
        data: its test split judges.
        slices: which columns the items carry.
        candidates: the challenger first.
        with_baselines: whether there is no champion yet.
        base, train: of the recipe, for the baseline of the untuned base; None: not judged.

    Returns:
        Key of the Evaluation in the store.

    Raises:
        ScoringCrashed: a process was killed from outside.
    """
    store = place.open()
    test = read_split(store, data.split("test"), place.cache)
    folders = {c.role: _open_model(store, place, c) for c in candidates}
    lineage, overlapping = overlap(test, {r: f for r, f in folders.items() if isinstance(f, Path)})
    kept = as_items(test[~test["group"].isin(overlapping)], data.task)
    items = test_items(kept, slices, data.task)
    with place.scratch() as scratch:
        test_path = scratch / "test.parquet"
        kept.to_parquet(test_path, index=False)
        asked = _requests(data, candidates, folders, items, test_path)
        cards = [_card(store, request, folders[request.role]) for request in asked]
        cost = _running_cost(store, asked[0], folders[asked[0].role], cards[0])
        if with_baselines:
            cards += _fitted_baselines(store, place, data, asked[0])
            cards += _base_baseline(store, place, data, asked[0], base, train)
    evaluation = Evaluation(
        items=items,
        cards=tuple(cards),
        lineage=lineage,
        budgets=cost.budgets if cost else None,
        parity=cost.parity if cost else None,
        expected_baselines=_expected(data, cards) if with_baselines else (),
    )
    key = f"evaluations/{evaluation.digest}.json"
    if store.exists(key):
        was_found(f"these models were scored on these items before: evaluation {key[12:20]}")
    write_stamped(store, key, evaluation)
    return key


def test_items(test: pd.DataFrame, slices: SlicePolicy, task: Task) -> TestItems:
    """The frozen items of test rows (`as_items`), with the declared slice columns."""
    columns = {name: slice_column(test, name) for name in slices.columns if name != "label"}
    return TestItems(
        item_ids=tuple(test["item_id"]),
        groups=tuple(test["group"]),
        labels=tuple(test["label"]),
        slices=columns,
        has_label_sets=TASKS[task].has_label_sets,
    )


def overlap(test: pd.DataFrame, folders: dict[str, Path]) -> tuple[LineageOverlap, frozenset[str]]:
    """Test groups that a judged model was trained on, by role, and all of them together.

    A group counts where it, or the key of any of its texts, is in a lineage: the model may have
    been trained on rows that were grouped otherwise.
    """
    groups = frozenset(test["group"])
    found: dict[str, frozenset[str]] = {}
    unknown = []
    for role, folder in folders.items():
        lineage, is_complete = read_lineage(folder)
        is_known = test["group"].isin(lineage) | test["text_key"].isin(lineage)
        found[role] = frozenset(test.loc[is_known, "group"])
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


def _open_model(store: Store, place: Place, candidate: Candidate) -> Path | str:
    """The model's folder, or why it cannot be had: the gate refuses what cannot be loaded."""
    try:
        return open_folder(store, candidate.model_key, place.cache)
    except (CorruptObject, IncompletePayload, MissingObject) as exc:
        return str(exc)


def _requests(
    data: DataRef,
    candidates: tuple[Candidate, ...],
    folders: dict[str, Path | str],
    items: TestItems,
    test_path: Path,
) -> list[ScoringRequest]:
    """What to score, one request per candidate."""
    return [
        ScoringRequest(
            role=candidate.role,
            model_path=str(folders[candidate.role]),
            model_digest=candidate.model_digest,
            test_path=str(test_path),
            items=items,
            task=data.task,
            language=data.snapshot.language,
            outputs_path=str(test_path.parent / "outputs.parquet"),
        )
        for candidate in candidates
    ]


def _card(store: Store, request: ScoringRequest, folder: Path | str) -> Scorecard:
    """The model's scorecard under today's fingerprint; taken once, whatever role it plays."""
    if isinstance(folder, str):
        return failed_scorecard(request, folder)
    key = f"scores/{request.model_digest}/{fingerprint_of(request).digest}.json"
    if store.exists(key):
        card = read_stamped(store, key, Scorecard)
        return card.model_copy(update={"role": request.role})
    log.info("scoring the %s on %d test items", request.role, len(request.items.item_ids))
    answer = run_fresh("models.scoring", request, Path(request.test_path).parent)
    if isinstance(answer, str):
        return failed_scorecard(request, answer)
    card = Scorecard.from_json(answer)
    if not card.error:
        _keep_outputs(store, request, card)
        write_stamped(store, key, card)
    return card


def outputs_key(card: Scorecard) -> str:
    """Where the texts lie that a model wrote for a scorecard; apart from it, so that they can be erased."""
    return f"outputs/{card.model_digest}/{card.fingerprint.digest}.parquet"


def _keep_outputs(store: Store, request: ScoringRequest, card: Scorecard) -> None:
    path = Path(request.outputs_path)
    if path.is_file():
        store.upload(outputs_key(card), path)
        path.unlink()


def _running_cost(
    store: Store, request: ScoringRequest, folder: Path | str, card: Scorecard
) -> Cost | None:
    """Parity and budgets of the challenger, measured once; None where that failed."""
    if card.error or isinstance(folder, str) or not request.items.item_ids:
        return None
    measured_by = digest_of([card.fingerprint.digest, code_digest("memory", "running_cost")])
    key = f"costs/{request.model_digest}/{measured_by}.json"
    if store.exists(key):
        return read_stamped(store, key, Cost)
    asked = CostRequest(scoring=request, card=card)
    log.info("loading the saved model afresh: parity, latency, memory")
    answer = run_fresh("models.running_cost", asked, Path(request.test_path).parent)
    if isinstance(answer, str):
        log.error("the saved model could not be measured: %s", answer)
        return None
    cost = Cost.from_json(answer)
    write_stamped(store, key, cost)
    return cost


def run_fresh(module: str, request: Record, scratch: Path) -> bytes | str:
    """Run a module of models/ in a new process; its result, or the last line of its failure.

    Raises:
        ScoringCrashed: it was killed by a signal, or this machine had no room for it.
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
        if any(sign in lines[-1] for sign in NO_ROOM):
            raise ScoringCrashed(
                f"{module} had no room: {mask(lines[-1])}; make some and run again"
            )
        return f"{module} failed: {mask(lines[-1])}"
    return answered.read_bytes()


def _expected(data: DataRef, cards: list[Scorecard]) -> tuple[str, ...]:
    own = task_code(data.task).baselines
    return own + tuple(card.role for card in cards if card.role == "baseline:base")


def _fitted_baselines(
    store: Store, place: Place, data: DataRef, request: ScoringRequest
) -> list[Scorecard]:
    """What a first champion must beat, whatever its base."""
    log.info("no champion yet: scoring the baselines to beat")
    training = examples_of(read_split(store, data.split("train"), place.cache))
    validation = examples_of(read_split(store, data.split("validation"), place.cache))
    scored = task_code(data.task).score_baselines(request, training, validation)
    for card, outputs in scored:
        if outputs is not None:
            write_outputs(request, outputs)
            _keep_outputs(store, request, card)
    return [card for card, _ in scored]


def _base_baseline(
    store: Store,
    place: Place,
    data: DataRef,
    request: ScoringRequest,
    base: BaseConfig | None,
    train: TrainConfig | None,
) -> list[Scorecard]:
    """The untuned base, where there is one that can do the task at all."""
    if base is None or train is None or base.scratch or not task_code(data.task).judges_base:
        return []
    found = find_base(place, base, data)
    asked = request.model_copy(
        update={
            "role": "baseline:base",
            "model_path": str(found.path),
            "model_digest": found.digest,
            "generation": train.generation.settings(),
            "max_length": train.max_length,
            "chat_template": train.chat_template,
        }
    )
    return [_card(store, asked, found.path)]
