"""Promote: version registered, entry appended, alias reconciled, in this order."""

import logging
from datetime import UTC, datetime

from prefect import task

from records.document import DecisionFile, TrainResult, report_path
from records.ledger import Action, LedgerEntry
from tasks.decide import read_decision
from tasks.ledger import append, claim_name, history
from tasks.objects import Store
from tasks.payload import open_folder
from tasks.place import Place
from tasks.registry import Registry
from tasks.retries import RETRIED

log = logging.getLogger("refit")


@task(name="promote", task_run_name="make the challenger the new champion", **RETRIED)
def promote(
    place: Place,
    name: str,
    recipe_name: str,
    train: TrainResult,
    decision_digest: str,
    card: str,
    actor: str,
    reason: str,
    approver: str = "",
) -> LedgerEntry:
    """Bring the challenger of a `promote` decision to the throne, exactly once.

    Args:
        place: where things are.
        name: registered model.
        recipe_name: who claims the name.
        train: the challenger.
        decision_digest: a stored decision with verdict `promote`.
        card: model card, Markdown.
        actor, reason, approver: for the ledger.

    Raises:
        ValueError: the decision is not `promote`, or not about this challenger.
        ChampionChanged: another entry came first; evaluate and decide again.
        NameClaimed: another recipe owns the name.
        MissingObject: something that the entry would name is gone.
    """
    store = place.open()
    file = read_decision(store, name, decision_digest)
    _check_decision(file, train, decision_digest)
    store.probe()
    claim_name(store, name, recipe_name, file.record.task)
    folder = open_folder(store, train.model_key, place.cache)
    registry = Registry(place)
    report_uri = registry.artifact_url(train.mlflow_run_id, report_path(decision_digest))
    version = registry.register(
        name=name,
        model_path=folder,
        model_digest=train.model_digest,
        run_id=train.mlflow_run_id,
        task=file.record.task,
        description=card,
        tags=version_tags(file, train, decision_digest, report_uri),
    )
    decided_against = entry_at(store, name, file.record.ledger_sequence)
    draft = draft_entry(
        action="promote",
        version=version,
        model_digest=train.model_digest,
        model_uri=train.model_key,
        decision_digest=decision_digest,
        is_anchor=file.decision.is_superior_to_anchor,
        train_key=train.train_key,
        actor=actor,
        approver=approver,
        reason=reason,
    )
    return append(store, name, draft, decided_against=decided_against)


def version_tags(
    file: DecisionFile, train: TrainResult, decision_digest: str, report_uri: str
) -> dict[str, str]:
    """What a version says of itself to whoever searches the registry."""
    metrics = file.record.challenger.metrics
    return {
        "refit.train_key": train.train_key,
        "refit.decision": decision_digest,
        "refit.snapshot": file.record.data_digest,
        "refit.base": train.base,
        "refit.base_digest": train.base_digest,
        **({"refit.report": report_uri} if report_uri else {}),
        **{f"refit.{k}": f"{v:.4f}" for k, v in metrics.items() if not k.startswith("f1:")},
    }


def draft_entry(*, action: Action, actor: str, reason: str, **fields: object) -> LedgerEntry:
    """An entry without its place in the chain, which `append` fills in."""
    values = {
        "version": "", "model_digest": "", "model_uri": "", "decision_digest": "", **fields,
    }  # fmt: skip
    return LedgerEntry.model_validate(
        {
            "sequence": 0,
            "previous_hash": "",
            "action": action,
            "actor": actor,
            "reason": reason,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            **values,
        }
    )


def entry_at(store: Store, name: str, sequence: int) -> LedgerEntry | None:
    """The entry of that number; None for 0."""
    return history(store, name)[sequence - 1] if sequence else None


def _check_decision(file: DecisionFile, train: TrainResult, decision_digest: str) -> None:
    if file.decision.verdict != "promote":
        raise ValueError(f"decision {decision_digest[:12]} refuses; it promotes nothing")
    if file.record.challenger.model_digest != train.model_digest:
        raise ValueError(f"decision {decision_digest[:12]} is about another challenger")
