"""Commands for production: its answers, what it reports, what is written to its data, its backup."""

from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.exits import UsageError
from deployments.options import AsJson, Name, prepare

production = typer.Typer()


@production.command(
    "report-metric", epilog="Example: `refit report-metric reviews 0.91 --metric accuracy`"
)
def report_metric(
    name: Name,
    value: Annotated[float, typer.Argument(help="As the gate counts: 0.91.", show_default=False)],
    metric: Annotated[
        str | None, typer.Option(help="Default: the recipe's live.metric, or the gate's.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Its `live` part counts, instead of that of the champion's recipe."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Keep a figure measured in production; a fall that lasts starts the recipe's deployment."""
    from flows.recipe import load_recipe

    policy = load_recipe(recipe).live if recipe else None
    place = prepare()
    from deployments.model_commands import check_known
    from flows.settings import actor
    from tasks import live

    check_known(place, name)
    store = place.open()
    said, judged = live.report_metric(
        store, name, value, actor=actor(), policy=policy, metric=metric
    )
    if json:
        screen.print_json({**said.model_dump(mode="json"), **judged.model_dump(mode="json")})
        return
    held = f"against {judged.reference:g}" if judged.reference is not None else "no reference known"
    screen.out.print(
        f"kept: {said.metric} {said.value:g} of version {said.version}, {held}, "
        f"{judged.num_beyond} in a row beyond the limit",
        markup=False,
    )
    if judged.is_fall:
        screen.out.print("a fall that lasts: the recipe's deployment is started")


@production.command(
    epilog="Example: `echo 'Works like a charm.' | refit predict reviews`, or "
    "`refit predict reviews --input s3://bucket/rows.csv --output answers.parquet`"
)
def predict(
    name: Name,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; none: lines of stdin.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="One text a line.")] = None,
    source: Annotated[
        str | None, typer.Option("--input", help="csv, tsv, jsonl or parquet file, or s3://...")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--output", help="csv, jsonl or parquet file, or s3://...")
    ] = None,
    column: Annotated[str, typer.Option(help="With the texts, in --input.")] = "text",
    keep: Annotated[
        list[str] | None, typer.Option(help="Column of --input to carry over. Repeatable.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Ask the champion: what label or labels, or what translation, for each text or row of a file.

    A file's job that was killed goes on where it was when the same command runs again.
    """
    if (source is None) != (target is None) or (source is not None and (texts or file)):
        raise UsageError("give --input together with --output and without texts or --file")
    place = prepare()
    if source is None or target is None:
        from deployments.model_commands import predict as answer

        answer(place, name, texts or [], file, json)
        return
    from deployments.batch import predict_rows
    from tasks.batch import Job

    job = Job(source=source, target=target, column=column, kept=tuple(keep or ()))
    raise typer.Exit(predict_rows(place, name, job, json))


@production.command(epilog="Example: `refit listen deployments/recipes --port 8100`")
def listen(
    recipes: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    host: Annotated[str, typer.Option(help="Others than loopback need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port.")] = 8100,
    quiet: Annotated[float, typer.Option(min=0, help="Seconds without news before a look.")] = 2.0,
) -> None:
    """Take bucket notifications of S3 over HTTP; each starts a look at the recipes concerned.

    POST / with what AWS, MinIO or Ceph send. REFIT_LISTEN_TOKEN sets a token (bearer, or the
    password of basic authentication).
    """
    from flows.settings import listen_token

    prepare()
    from deployments.listen import listen as receive
    from deployments.up import load_recipes
    from tasks.orchestrator import require_server

    require_server()
    receive(load_recipes(recipes), host=host, port=port, quiet_s=quiet, token=listen_token())


@production.command(epilog="Example: `refit copy s3://refit refit-backup/bucket`")
def copy(
    source: Annotated[str, typer.Argument(help="Folder or s3://...", show_default=False)],
    target: Annotated[str, typer.Argument(help="An empty one of these.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Copy a store, or the bucket that it lies in: a backup, its restore, a move to another place.

    Nobody may write meanwhile. REFIT_S3_ENDPOINT_URL names the server of both.
    """
    place = prepare()
    from deployments.store_commands import copy_objects

    copy_objects(place, source, target, json)
