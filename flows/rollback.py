"""rollback: an earlier champion comes back, and promotions are held until somebody releases them."""

import logging
from typing import Annotated

from prefect import flow
from prefect.states import Completed
from pydantic import Field

from flows.fixed import check_fixed
from flows.form import Actor
from flows.settings import actor as own_name
from flows.settings import load_place
from records.evaluation import RunResult
from records.ledger import LedgerEntry
from report.markdown import escape_markdown
from tasks.changes import roll_back
from tasks.publish import artifact_key, create_markdown_artifact
from tasks.registry import Registry
from tasks.retries import patience

log = logging.getLogger("refit")

Model = Annotated[str, Field(title="Model", description="Registered model.")]
Why = Annotated[
    str,
    Field(
        title="Reason",
        description="What is wrong with the model in production; kept in the ledger.",
        min_length=3,
        max_length=500,
    ),
]
ToVersion = Annotated[
    str | None,
    Field(
        title="To version",
        description="An earlier champion's version number or digest; empty: the one before.",
        pattern=r"^[0-9a-f]*$",
    ),
]


@flow(name="rollback", flow_run_name="roll back {name}")
def rollback(
    name: Model, reason: Why, to_version: ToVersion = None, actor: Actor = ""
) -> RunResult:
    """Bring an earlier champion back, bar the present one, and hold promotions until released."""
    log.setLevel(logging.INFO)
    check_fixed(name=name)
    place = load_place()
    with patience(place.outage_s):
        entry = roll_back(
            place, name, to_version=to_version or None, actor=actor or own_name(), reason=reason
        )
        create_markdown_artifact(
            rollback_markdown(name, entry, Registry(place).version_url(name, entry.version)),
            key=artifact_key(name, "rollback"),
            description=f"{name} is back at version {entry.version}",
        )
    summary = f"Version {entry.version} is champion again; promotions are held until released."
    result = RunResult(name=name, outcome="rolled_back", summary=summary, version=entry.version)
    return Completed(name="Rolled back", message=summary, data=result)  # type: ignore[return-value]


def rollback_markdown(name: str, entry: LedgerEntry, version_url: str) -> str:
    """What happened, who asked and why, and how promotions go on."""
    link = f"[version {entry.version} in MLflow]({version_url})" if version_url else ""
    return (
        f"# {escape_markdown(name)} is back at version {entry.version}\n\n"
        f"{escape_markdown(entry.actor)}: {escape_markdown(entry.reason)}\n\n"
        f"The model that was live (`{entry.replaces[:12]}`) is barred. Promotions are held until "
        f"`refit release {escape_markdown(name)}`.\n\n"
        f"Ledger entry {entry.sequence}, {entry.time}. {link}\n"
    )
