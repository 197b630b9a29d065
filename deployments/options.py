"""What commands share: their arguments and options, and the place that they work in."""

from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.exits import UsageError
from tasks.place import Place

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Registered model.", show_default=False)]
Text = Annotated[str, typer.Argument(help="One text.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
NeededReason = Annotated[
    str, typer.Option("--reason", help="Why, for the ledger.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a field: --set train.epochs=5. Repeatable."),
]


def prepare() -> Place:
    """Where this process keeps things; sets the quiet defaults that libraries read at import."""
    from flows.settings import load_place, prepare_environment

    place = load_place()
    try:
        prepare_environment(place, console_level="CRITICAL")
    except OSError as exc:
        raise UsageError(f"REFIT_HOME={place.home}: {exc.strerror}; name another folder") from exc
    screen.show_log()
    return place
