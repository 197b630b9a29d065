"""refit: keeps custom language models fresh.

Commands import what they need when they run: `refit --help` loads no torch, Prefect, MLflow or GX.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments import screen
from deployments.changes import changes
from deployments.exits import Exit, UsageError, explain_exception
from deployments.options import (
    AsJson,
    Name,
    Overrides,
    Reason,
    RecipePath,
    Text,
    prepare,
)
from deployments.production import production

app = typer.Typer(
    name="refit",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Make a custom language model out of a general one, and keep it fresh.\n\n"
    "`refit run deployments/recipes/reviews.yaml` trains, judges and promotes; "
    "`refit lookup reviews` says what is live and why.\n\n"
    "Exit codes: 0 promoted or unchanged, 2 bad recipe, input or usage, 3 refused by the gate, "
    "4 refused by the data checks, 5 waiting for a person, 6 already running, 1 a fault (retry).",
)
app.add_typer(changes)
app.add_typer(production)


@app.command(epilog="Example: `refit run deployments/recipes/reviews.yaml --set train.epochs=2`")
def run(
    recipe: RecipePath,
    set_: Overrides = None,
    reason: Reason = "",
    mode: Annotated[
        str, typer.Option(help="promote, or 'dry run' (train and judge), or 'evaluate only'.")
    ] = "promote",
    json: AsJson = False,
) -> None:
    """Ingest, check, train, judge; promote the challenger if it proves its worth."""
    from flows.recipe import load_recipe

    loaded, checked = load_recipe(recipe, set_ or []), _mode(mode)
    _check_base(loaded)
    place = prepare()
    is_new = not (Path(place.home) / "mlflow.db").exists()
    screen.say("starting" + ("; the first time in a new home takes a minute" if is_new else ""))
    from flows.retrain import retrain
    from flows.settings import actor

    result = retrain(loaded.model_dump(mode="json"), actor=actor(), reason=reason, mode=checked)
    if result.outcome == "data_refused":
        from deployments.data_commands import show_refused_data

        show_refused_data(place, result.data_key)
    if json:
        screen.print_json(result.model_dump(mode="json"))
    else:
        screen.print_outcome(result.outcome, result.summary)
        if result.report_path:
            screen.print_pairs(
                {"report": result.report_path, "decision": result.decision_digest[:12]}
            )
    raise typer.Exit(Exit.of_outcome(result.outcome))


@app.command(epilog="Example: `refit init reviews.csv > recipe.yaml`")
def init(
    data: Annotated[Path, typer.Argument(help="A data file.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Of the model; default: the file's.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here.")] = None,
    json: AsJson = False,
) -> None:
    """Look at a data file and write a commented recipe for it."""
    from deployments.data_commands import write_recipe

    write_recipe(data, name, output, json)


@app.command(epilog="Example: `refit check deployments/recipes/reviews.yaml`")
def check(recipe: RecipePath, set_: Overrides = None, json: AsJson = False) -> None:
    """Ingest and check the data, split it, and say what the test split can show. Trains nothing."""
    from flows.recipe import load_recipe

    loaded = load_recipe(recipe, set_ or [])
    place = prepare()
    from deployments.data_commands import check_data

    raise typer.Exit(check_data(loaded, place, json))


@app.command(epilog="Example: `refit schema > recipe.schema.json`")
def schema(json: AsJson = True) -> None:
    """The JSON Schema of recipes, so that editors complete and check them."""
    from flows.recipe import recipe_schema

    screen.print_json(recipe_schema())


@app.command(epilog="Example: `refit lookup reviews@champion`")
def lookup(name: Name, json: AsJson = False) -> None:
    """Say which version is live, since when and why; read from the ledger."""
    _commands().lookup(prepare(), name, json)


@app.command(epilog="Example: `refit features reviews 'Works like a charm.'`")
def features(name: Name, text: Text, json: AsJson = False) -> None:
    """Last hidden states and pooled vectors of a text, by the champion."""
    from deployments import inside_commands

    inside_commands.features(prepare(), name, text, json)


@app.command(epilog="Example: `refit why reviews 'Not what I hoped for.'`")
def why(
    name: Name,
    text: Text,
    label: Annotated[
        str | None, typer.Option("--label", help="Ask about this label; default: the answer.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Which parts of a text speak for the champion's answer: for labels shares that are checked to
    add up, for translation and chat what the answer costs without each word."""
    from deployments import inside_commands

    raise typer.Exit(inside_commands.why(prepare(), name, text, label, json))


@app.command(epilog="Example: `refit history reviews --verify`")
def history(
    name: Name,
    verify: Annotated[
        bool, typer.Option(help="Check every hash and the registry's mirror.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Every change of champion, oldest first."""
    raise typer.Exit(_commands().show_history(prepare(), name, verify, json))


@app.command(epilog="Example: `refit decisions reviews`")
def decisions(name: Name, json: AsJson = False) -> None:
    """Every decision about a model, refusals too."""
    _commands().decisions(prepare(), name, json)


@app.command(epilog="Example: `refit explain reviews:2` or `refit explain 5b1f09`")
def explain(
    what: Annotated[str, typer.Argument(metavar="DECISION|NAME[:VERSION]", show_default=False)],
    json: AsJson = False,
) -> None:
    """Replay a decision from its record alone, and say whether it reproduces."""
    raise typer.Exit(_commands().explain(prepare(), what, json))


@app.command(epilog="Example: `refit verify --set-aside`")
def verify(
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="Move what a rerun makes anew to the trash.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Check every byte of the store against its sha256; say how each damage is mended."""
    place = prepare()
    from deployments.store_commands import verify_store

    raise typer.Exit(verify_store(place, set_aside, json))


@app.command(epilog="Example: `refit gc`, then `refit gc --yes`, and again a week later")
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Act; without it nothing is changed.")] = False,
    json: AsJson = False,
) -> None:
    """Remove from the store what no champion, run or retention rule needs; trash first."""
    place = prepare()
    from deployments.store_commands import collect_garbage

    raise typer.Exit(collect_garbage(place, yes, json))


@app.command(epilog="Example: `refit serve reviews --port 8000`")
def serve(
    name: Name,
    host: Annotated[str, typer.Option(help="Others than loopback need a password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port.")] = 8000,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between looks.")] = 2.0,
) -> None:
    """Answer over HTTP by the champion; a new one takes over warm, and no request fails.

    POST /predict {"texts": [...]}, GET /health. REFIT_SERVE_PASSWORD sets a password (basic).
    """
    from flows.settings import serve_password

    place = prepare()
    from deployments.serve import serve as answer

    _commands().check_known(place, name)
    answer(place, name, host=host, port=port, every_s=every, password=serve_password())


@app.command(epilog="Example: `refit up deployments/recipes`")
def up(
    folder: Annotated[Path, typer.Argument(help="Recipes to deploy.")] = Path(
        "deployments/recipes"
    ),
    real: Annotated[
        bool, typer.Option("--real", help="PostgreSQL and S3, private and not kept.")
    ] = False,
    prefect_port: Annotated[int, typer.Option(help="Preferred; another one if in use.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Preferred; another one if in use.")] = 5000,
    limit: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 2,
) -> None:
    """Start Prefect, MLflow and a worker here, deploy every recipe of a folder, show what runs."""
    place = prepare()
    from deployments.up import up as start_all

    ports = prefect_port, mlflow_port
    raise typer.Exit(start_all(Path(place.home), folder, is_real=real, ports=ports, limit=limit))


@app.command(epilog="Example: `refit deploy deployments/recipes --pool refit`")
def deploy(
    recipes: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    pool: Annotated[str, typer.Option(help="Work pool that runs them.", show_default=False)],
    kind: Annotated[
        str, typer.Option(help="Of the pool: process, docker or kubernetes.")
    ] = "process",
    environment: Annotated[
        str, typer.Option(help="Ends the deployments' names; empty: the pool's name.")
    ] = "",
    image: Annotated[str, typer.Option(help="Container image, for docker and kubernetes.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings at once in this pool; not given: as it is, 1 in a new pool.",
            show_default=False,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Deploy recipes on the Prefect server that PREFECT_API_URL names."""
    prepare()
    from deployments.up import deploy_all, load_recipes
    from tasks.orchestrator import require_server

    require_server()
    names = deploy_all(load_recipes(recipes), pool, environment or pool, kind, image, limit)
    if json:
        screen.print_json(names)
    else:
        for name in names:
            screen.out.print(name, markup=False)


@app.command(epilog="Example: `refit doctor`")
def doctor(json: AsJson = False) -> None:
    """Versions, services, the store's conditional write, the base model: what is wrong, how to mend."""
    place = prepare()
    from deployments.doctor import examine

    raise typer.Exit(examine(place, json))


def main() -> None:
    """Entry point: every refusal becomes one clear error and its exit code."""
    try:
        app(standalone_mode=True)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as exc:
        message, code = explain_exception(exc)
        screen.print_error(message)
        sys.exit(code)


def _mode(mode: str) -> Any:
    from typing import get_args

    from flows.form import Mode

    if mode not in get_args(Mode):
        raise UsageError(f"--mode {mode!r} is none of: {', '.join(get_args(Mode))}")
    return mode


def _check_base(recipe: Any) -> None:
    """Refuse a base that cannot be had before any server is started or row is read."""
    from flows.effect import strategies
    from models.base import check_fits, resolve_base
    from models.blanks import check_metric
    from models.languages import language_tokens, must_be_told

    adapted = [
        recipe.train.model_copy(update={"strategy": name})
        for name in sorted(strategies(recipe) & {"lora", "qlora"})
    ]
    if adapted:
        from models.adapt import check_strategy, check_targets
    for config in adapted:
        check_strategy(config)
    for option in recipe.base.options:
        if option.scratch is None and not option.model.startswith("models:/"):
            base = resolve_base(option)
            check_fits(recipe.task, recipe.train, base.path, base.uri)
            check_metric("gate.metric", recipe.gate.metric, base.path, base.uri)
            if must_be_told(recipe.task, base.path):
                language_tokens(base, recipe.data.source_language, recipe.data.target_language)
            for config in adapted:
                check_targets(config, base)


def _commands() -> Any:
    from deployments import model_commands

    return model_commands


if __name__ == "__main__":
    main()
