"""Commands that change who is live, or mend what shows it: each is an entry of the ledger, or none."""

from typing import Annotated

import typer

from deployments import screen
from deployments.options import AsJson, Name, NeededReason, Reason, prepare

changes = typer.Typer()


@changes.command(epilog="Example: `refit rollback reviews --reason 'complaints about sarcasm'`")
def rollback(
    name: Name,
    reason: NeededReason,
    to: Annotated[
        str | None, typer.Option("--to", help="Version or digest; default: the one before.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Bring an earlier champion back, bar the present one, and hold promotions until `release`."""
    from flows.settings import actor

    place = prepare()
    from deployments.model_commands import check_known, show_change
    from tasks.changes import roll_back

    check_known(place, name)
    entry = roll_back(place, name, to_version=to, actor=actor(), reason=reason)
    show_change(entry, json, f"promotions are held until `refit release {name}`")


@changes.command(epilog="Example: `refit approve 5b1f09 --by 'Ann Lee' --reason 'read the report'`")
def approve(
    decision: Annotated[str, typer.Argument(help="See `refit decisions`.", show_default=False)],
    by: Annotated[str, typer.Option("--by", help="Who answers for it.", show_default=False)],
    reason: NeededReason,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no.")] = False,
    json: AsJson = False,
) -> None:
    """Answer a promotion that waits for a person; the next `refit run` acts on it."""
    place = prepare()
    from tasks.approval import answer
    from tasks.decide import find_decision

    store = place.open()
    name, digest = find_decision(store, decision)
    said = answer(store, name, digest, is_approved=not refuse, approver=by, reason=reason)
    if json:
        screen.print_json(said.model_dump(mode="json"))
    else:
        screen.out.print(f"{'approved' if said.is_approved else 'refused'} by {said.approver}")


@changes.command(
    epilog="Example: `refit override 5b1f09 --by 'Ann Lee' --reason 'legal wants it out today'`"
)
def override(
    decision: Annotated[str, typer.Argument(help="See `refit decisions`.", show_default=False)],
    by: Annotated[str, typer.Option("--by", help="Who answers for it.", show_default=False)],
    reason: NeededReason,
    json: AsJson = False,
) -> None:
    """Put a refused challenger live against the gate; the ledger keeps who and why."""
    place = prepare()
    from deployments.model_commands import show_change
    from tasks.changes import override as put_live
    from tasks.decide import find_decision

    name, digest = find_decision(place.open(), decision)
    entry = put_live(place, name, digest, actor=by, reason=reason)
    show_change(entry, json, "against the gate: the ledger says so")


@changes.command(epilog="Example: `refit release reviews --reason 'fixed in the data'`")
def release(name: Name, reason: Reason = "", json: AsJson = False) -> None:
    """Lift the hold that a rollback set."""
    _change("release", name, reason, json)


@changes.command(epilog="Example: `refit rebase reviews --reason 'new label set'`")
def rebase(name: Name, reason: NeededReason, json: AsJson = False) -> None:
    """Make today's champion the new anchor."""
    _change("rebase", name, reason, json)


@changes.command(epilog="Example: `refit retire reviews --reason 'product discontinued'`")
def retire(name: Name, reason: NeededReason, json: AsJson = False) -> None:
    """Take the champion down without a successor."""
    _change("retire", name, reason, json)


@changes.command(epilog="Example: `refit adopt reviews 3 --reason 'was live before refit'`")
def adopt(
    name: Name,
    version: Annotated[str, typer.Argument(help="MLflow model version.", show_default=False)],
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Take a production model in that was there before refit, as the ledger's first entry."""
    from flows.settings import actor

    place = prepare()
    from deployments.model_commands import show_change
    from tasks.changes import adopt as adopt_version

    entry = adopt_version(place, name, version, actor=actor(), reason=reason)
    show_change(entry, json)


@changes.command(epilog="Example: `refit reconcile reviews`")
def reconcile(name: Name, json: AsJson = False) -> None:
    """Make the registry's alias say what the ledger says."""
    place = prepare()
    from deployments.model_commands import check_known
    from tasks.reconcile import reconcile as mend

    check_known(place, name)
    version = mend.fn(place, name)
    if json:
        screen.print_json({"name": name, "version": version})
    else:
        screen.out.print(
            f"models:/{name}@champion is version {version}" if version else "no champion"
        )


def _change(action: str, name: str, reason: str, json: bool) -> None:
    from flows.settings import actor

    place = prepare()
    from deployments.model_commands import check_known, show_change
    from tasks import changes as made

    check_known(place, name)
    change = {"release": made.release, "rebase": made.rebase, "retire": made.retire}[action]
    show_change(change(place, name, actor=actor(), reason=reason), json)
