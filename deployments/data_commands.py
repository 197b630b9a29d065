"""Commands about data: check and init."""

import re
from pathlib import Path

from deployments import screen
from deployments.exits import Exit, UsageError
from flows.recipe import Recipe, parse_recipe
from records.data import DataRef
from records.document import PowerRow
from tasks.place import Place


def check_data(recipe: Recipe, place: Place, as_json: bool) -> Exit:
    """Ingest, check and split; print counts, findings and the power of the test split."""
    from models.power import power_table
    from tasks.check import check
    from tasks.ingest import ingest

    snapshot = ingest.fn(place, recipe.data, recipe.task)
    data = check.fn(place, snapshot, recipe.data, recipe.checks, recipe.split)
    num_test = data.split("test").num_groups
    power = power_table(recipe.gate, num_test) if data.report.passed else ()
    if as_json:
        screen.print_json(
            {
                "passed": data.report.passed,
                "data": data.model_dump(mode="json"),
                "power": [row.model_dump(mode="json") for row in power],
            }
        )
    else:
        _show(data, power, recipe)
    if not data.report.passed:
        show_refused_data(place, data.data_key)
    if not as_json:
        _show_verdict(data, recipe)
    return Exit.DONE if data.report.passed else Exit.DATA_REFUSED


def _show_verdict(data: DataRef, recipe: Recipe) -> None:
    """The last line: whether training may begin, and what would stop it later."""
    num_test, needed = data.split("test").num_groups, recipe.gate.min_items
    failed = [r.name for r in data.report.results if r.blocking and not r.passed]
    if failed:
        screen.print_outcome("data_refused", f"The data checks refused: {', '.join(failed)}.")
    elif num_test < needed:
        screen.print_outcome(
            "held",
            f"The data pass, but no model can: {num_test} test groups, gate.min_items={needed}. "
            "Add data or raise split.test.",
        )
    else:
        screen.print_outcome("passed", f"{data.report.num_kept:,} rows are fit to train on.")


def _show(data: DataRef, power: tuple[PowerRow, ...], recipe: Recipe) -> None:
    report = data.report
    screen.print_table(
        f"Snapshot {data.snapshot.snapshot_digest[:12]}: {report.num_in:,} rows in, "
        f"{report.num_kept:,} kept",
        ("split", "rows", "groups", "labels"),
        (
            (
                s.split,
                s.num_rows,
                s.num_groups,
                " ".join(f"{k}={v}" for k, v in s.num_by_label.items()),
            )
            for s in data.splits
        ),
    )
    if dropped := {reason: count for reason, count in report.dropped.items() if count}:
        screen.print_table("Quarantined", ("reason", "rows"), dropped.items())
    for warning in report.warnings:
        screen.print_warning(warning)
    if power:
        screen.print_table(
            f"Chance that an equally good model passes ({recipe.gate.rule}, margin "
            f"{recipe.gate.margin:g}, {power[0].num_items} test items)",
            ("models differ on", "chance", "items for 80 %", "margin for 80 %"),
            (
                (f"{p.discordance:.0%}", f"{p.chance:.0%}", p.say_items(recipe.gate.rule), f"{p.margin_for_80:.3f}")
                for p in power
            ),
        )  # fmt: skip


def show_refused_data(place: Place, data_key: str) -> None:
    """What failed, where, and ten example rows of each."""
    from tasks.check import read_examples
    from tasks.payload import open_folder, read_manifest

    store = place.open()
    ref = DataRef.model_validate(read_manifest(store, f"data/{data_key}")["data"])
    failed = [r for r in ref.report.results if r.blocking and not r.passed]
    screen.print_table(
        "Failed checks",
        ("check", "column", "observed", "limit", "rows", "next step"),
        ((r.name, r.column, r.observed, r.limit, r.num_failed, r.next_step) for r in failed),
        to=screen.err,
    )
    examples = read_examples(store, ref, place.cache)
    names = {r.name for r in failed}
    rows = examples[examples["check"].isin(names)]
    if len(rows):
        screen.print_table(
            "Examples", list(rows.columns), rows.itertuples(index=False), to=screen.err
        )
    page = open_folder(store, f"data/{data_key}", place.cache) / "data_docs" / "index.html"
    screen.err.print(f"Data Docs: {page}", markup=False)


def write_recipe(data: Path, name: str | None, output: Path | None, as_json: bool) -> None:
    """Sniff a file and write a recipe that loads.

    Raises:
        UsageError: the file cannot be opened, or the output cannot be written.
        ParseError: the file cannot be read as rows.
    """
    import yaml

    from data_checks.first_recipe import write_recipe_text
    from data_checks.sniff import sniff

    try:
        sniffed = sniff(data)
    except OSError as exc:
        raise UsageError(f"{data} cannot be read: {exc.strerror}; give a data file") from exc
    text = write_recipe_text(data, sniffed, name or name_for(data))
    values = yaml.safe_load(text)
    parse_recipe(values, origin=f"the recipe for {data}")
    if output is not None:
        _write_new(output, text)
        for warning in sniffed.warnings:
            screen.print_warning(warning)
        screen.err.print(f"wrote {output}; next: refit check {output}", markup=False)
    if as_json:
        screen.print_json(values)
    elif output is None:
        print(text, end="")


def name_for(data: Path) -> str:
    """A model name out of a file's: `My reviews.csv.gz` gives `My-reviews`."""
    stem = data.name.lstrip(".").partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:100] or "model"


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise UsageError(f"{path} is there already; delete it, or give another --output") from exc
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}") from exc
