"""The command line: light to start, the same shape everywhere, and honest exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from typer.testing import CliRunner

from deployments import screen
from deployments.cli import app
from deployments.data_commands import name_for
from deployments.exits import Exit, UsageError, explain_exception
from flows.recipe import load_recipe
from models.errors import UnknownBase
from records.document import Outcome
from tasks.ledger import ChampionChanged, EntryRefused, LedgerCorrupt, LedgerError
from tasks.objects import AccessDenied, CorruptObject, StoreUnreachable
from tasks.reconcile import LedgerBehindMirror
from tests.terminal import ROOT, Terminal, terminal
from tests.tiny import write_csv

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
HEAVY = {"prefect", "mlflow", "torch", "transformers", "great_expectations", "boto3", "datasets"}
REPORT_MODULES = f"""
import sys
from deployments.cli import main
try:
    main()
except SystemExit as exc:
    print("loaded", exc.code, *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal in a folder with 400 good rows."""
    folder = tmp_path_factory.mktemp("cli")
    write_csv(folder / "My reviews.csv", num_rows=1200)
    with terminal(folder) as opened:
        yield opened


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) == {
        "adopt", "approve", "check", "copy", "decisions", "deploy", "doctor", "explain", "features", "gc",
        "history", "init", "listen", "lookup", "override", "predict", "rebase", "reconcile", "release",
        "report-metric", "retire", "rollback", "run", "schema", "serve", "up", "verify", "why",
    }  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_and_json(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "150", "TERM": "dumb"})
    assert done.exit_code == 0
    assert f"Example: refit {command} " in done.output.replace("'", "") or command in (
        "doctor", "gc", "predict",
    )  # fmt: skip
    assert "Example: " in done.output
    assert "--json" in done.output or command in ("listen", "serve", "up")  # these run until Ctrl-C


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["schema"], 0),
        (["init", "rows.csv"], 0),
        (["init", "rows.parquet"], 2),
        (["run", "absent.yaml"], 2),
        (["run", "recipe.yaml"], 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_light_commands_load_no_heavy_library(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    write_csv(tmp_path / "rows.csv", num_rows=50)
    recipe = "name: a\ndata: {source: rows.csv}\nbase: {model: ./absent}\ngate: {minimum: 0.5}\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    done = subprocess.run(
        [sys.executable, "-c", REPORT_MODULES, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "REFIT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1] == f"loaded {code}"
    assert not (tmp_path / "home").exists()


def test_init_writes_a_recipe_that_loads_and_checks(session: Terminal) -> None:
    written = session.run("init", "My reviews.csv", "-o", "recipe.yaml")
    assert (written.code, written.out) == (0, "")
    assert "wrote recipe.yaml; next: refit check recipe.yaml" in written.err
    recipe = load_recipe(session.folder / "recipe.yaml")
    assert (recipe.name, recipe.checks.labels) == ("My-reviews", ("negative", "positive"))
    checked = session.run("check", "recipe.yaml")
    assert checked.code == 0, checked.err
    assert checked.out.splitlines()[-1] == "PASSED  1,200 rows are fit to train on."
    assert "Chance that an equally good model passes (non_inferior, margin 0.02" in checked.out
    again = session.run("init", "My reviews.csv", "-o", "recipe.yaml")
    assert (again.code, again.err.strip()) == (
        2,
        "error: recipe.yaml is there already; delete it, or give another --output",
    )


def test_init_to_stdout_is_the_same_recipe(session: Terminal) -> None:
    text, values = (
        session.run("init", "My reviews.csv"),
        session.run("init", "My reviews.csv", "--json"),
    )
    assert yaml.safe_load(text.out) == json.loads(values.out)
    assert text.out.startswith("# A first recipe for My reviews.csv: 1,200 rows, 2 labels.")
    named = session.run("init", "My reviews.csv", "--name", "other", "--json")
    assert json.loads(named.out)["name"] == "other"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.csv"], "absent.csv cannot be read: No such file or directory; give a data file"),
        (["."], ".: is a folder; give one of its data files"),
        (["empty.csv"], "empty.csv: has no rows; give a file with data"),
        (["lonely.csv"], "lonely.csv: no table of two columns or more is found in it"),
        (["My reviews.csv", "--name", "a b"], "the recipe for My reviews.csv has 1 problem:"),
        (["My reviews.csv", "-o", "no/where.yaml"], "no/where.yaml cannot be written: No such"),
    ],
)
def test_init_says_what_it_cannot_read_or_write(
    session: Terminal, arguments: list[str], said: str
) -> None:
    (session.folder / "empty.csv").write_text("")
    (session.folder / "lonely.csv").write_text("Ishmael\n" * 30)
    done = session.run("init", *arguments)
    assert done.code == 2
    assert done.err.startswith(f"error: {said}")
    assert done.out == ""


def test_init_on_one_class_still_writes_a_recipe(session: Terminal) -> None:
    rows = "".join(f"fine thing number {i},good\n" for i in range(300))
    (session.folder / "one.csv").write_text("text,label\n" + rows)
    done = session.run("init", "one.csv")
    assert done.code == 0, done.err
    assert "# Look at this: only 1 label in 300 rows" in done.out


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("My reviews.csv.gz", "My-reviews"),
        ("data/été 2024.tsv", "t-2024"),
        (".csv", "csv"),
        ("评论.csv", "model"),
        ("a_b-c.jsonl", "a_b-c"),
    ],
)
def test_init_makes_a_model_name_of_a_file_name(file: str, name: str) -> None:
    assert name_for(Path(file)) == name


def test_check_shows_its_table_with_a_bad_split_too(session: Terminal) -> None:
    write_csv(session.folder / "few.csv", num_rows=240)
    text = "name: few\ndata: {source: few.csv}\ngate: {minimum: 0.5}\n"
    (session.folder / "few.yaml").write_text(text)
    few = session.run("check", "few.yaml")
    assert few.code == 0
    assert few.out.splitlines()[-1].startswith("HELD  The data pass, but no model can: ")
    assert "gate.min_items=200" in few.out
    bad = session.run("check", "few.yaml", "--set", "split.validation=0.0001")
    assert bad.code == 4
    assert [line.split()[:3] for line in bad.out.splitlines() if " validation" in line] == [
        ["validation", "0", "0"]
    ]
    assert "validation is empty" in bad.err
    assert bad.out.splitlines()[-1] == "DATA REFUSED  The data checks refused: splits_complete."


def test_check_as_json_is_one_document(session: Terminal) -> None:
    done = session.run("check", "few.yaml", "--json")
    document = json.loads(done.out)
    assert document["passed"] is True
    assert document["data"]["report"]["num_in"] == 240


def test_usage_errors_name_a_close_command(session: Terminal) -> None:
    done = session.run("chekc", "few.yaml")
    assert done.code == 2
    assert "Did you mean 'check'" in done.err
    assert session.run("rollback", "reviews").code == 2


def test_home_that_cannot_be_made_is_named(session: Terminal) -> None:
    blocked = str(session.folder / "few.csv" / "home")
    done = session.run("lookup", "reviews", REFIT_HOME=blocked)
    assert (done.code, done.err.strip()) == (
        2,
        f"error: REFIT_HOME={blocked}: Not a directory; name another folder",
    )


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_has_an_exit_code_and_a_colour(outcome: str) -> None:
    codes = {
        "promoted": 0, "unchanged": 0, "would_promote": 0, "evaluated": 0, "refused": 3,
        "declined": 3, "data_refused": 4, "held": 5, "waiting": 5, "already_running": 6,
    }  # fmt: skip
    assert Exit.of_outcome(outcome) == codes[outcome]
    assert outcome in screen.COLOURS


@pytest.mark.parametrize(
    ("exc", "code", "said"),
    [
        (UsageError("not so"), 2, "not so"),
        (UnknownBase("no such base"), 2, "no such base"),
        (AccessDenied("403"), 2, "403"),
        (LedgerError("no champion"), 2, "no champion"),
        (LedgerCorrupt("entry 2 is missing"), 1, "entry 2 is missing"),
        (ChampionChanged("another came first"), 1, "another came first"),
        (EntryRefused("held"), 1, "held"),
        (CorruptObject("other bytes"), 1, "other bytes"),
        (LedgerBehindMirror("its tail was cut"), 1, "its tail was cut"),
        (StoreUnreachable("no answer"), 1, "no answer\nThis may pass: run the same command again."),
        (ValueError("inside a library"), 1, "ValueError: inside a library\nThis is a fault"),
        (MemoryError("full"), 1, "MemoryError: full\nThis is a fault"),
        (OSError("https://ann:s3cret@host is gone"), 1, "OSError: https://host is gone\n"),
    ],
)
def test_whose_fault_decides_the_exit_code(exc: Exception, code: int, said: str) -> None:
    message, found = explain_exception(exc)
    assert found == code
    assert message.startswith(said)


def test_data_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "a\x1b[2J\x9b31m\u202e\udcff\n\tb评"
    assert screen.visible(nasty) == "a\\x1b[2J\\x9b31m\\u202e\\udcff\n\tb评"
    assert screen.visible(nasty, keep="").endswith("\\n\\tb评")
    screen.print_json({"text": nasty})
    screen.print_table("[red]t", ("[b]c",), [("[i]" + nasty,)])
    screen.print_outcome("refused", nasty)
    screen.print_error(nasty)
    printed = capsys.readouterr()
    assert json.loads(printed.out.partition("}")[0] + "}")["text"] == nasty
    assert all(c.isprintable() or c in "\n\t" for c in printed.out + printed.err)
    assert "[red]t" in printed.out
    assert "[i]a" in printed.out
