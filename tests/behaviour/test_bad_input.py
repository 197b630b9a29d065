"""Bad input, through the command line: one clear error, the right exit code, and no trace."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from deployments.local.radosgw import S3Server
from models.device import hide_loading_bars
from records.base import digest_of, file_sha256
from records.ledger import LedgerEntry
from tasks.ledger import append
from tasks.payload import put_folder
from tasks.store import LocalStore, S3Store
from tests.terminal import ROOT, Done, Terminal, terminal
from tests.tiny import write_base, write_csv

RECIPE = """
name: bad
data: {source: rows.csv}
checks: {labels: [negative, positive]}
base: {model: ./base}
train: {epochs: 1, learning_rate: 2.0e-3, max_length: 32}
gate: {minimum: 0.6}
"""
MEGABYTES = "good " * (2 * 2**20)
NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal without network, in a folder with a recipe, 400 good rows and a tiny base."""
    folder = tmp_path_factory.mktemp("bad")
    hide_loading_bars()
    write_base(folder / "base")
    write_csv(folder / "rows.csv", num_rows=400)
    (folder / "recipe.yaml").write_text(RECIPE)
    with terminal(folder, HF_HUB_OFFLINE="1", AWS_EC2_METADATA_DISABLED="true") as opened:
        yield opened


@pytest.fixture(scope="module")
def good(session: Terminal) -> str:
    """The good rows as csv."""
    return (session.folder / "rows.csv").read_text("utf-8")


def rows_of(session: Terminal, content: bytes, *overrides: str, name: str = "bad.csv") -> Done:
    """`refit run` on a file of that content."""
    (session.folder / name).write_bytes(content)
    sets = [part for item in (f"data.source={name}", *overrides) for part in ("--set", item)]
    return session.run("run", "recipe.yaml", *sets)


def check_refused(done: Done, code: int, *said: str) -> None:
    """One clear error without noise."""
    everything = done.out + done.err
    assert done.code == code, everything
    for words in said:
        assert words in everything
    assert everything.count("error: ") == (code != 4)
    assert everything.count("DATA REFUSED") == (code == 4)
    for noise in ("Traceback", "prefect", "Flow run", "Task run", "WARNING", "sqlalchemy"):
        assert noise not in everything
    assert len(everything) < 20_000
    assert all(c.isprintable() or c == "\n" for c in everything)


def check_no_trace(home: Path) -> None:
    """Nothing in registry or ledger, and nothing trained or decided."""
    made = {path.name for path in (home / "store").glob("*")}
    assert not made & {"ledger", "claims", "trains", "models", "scores", "decisions", "reports"}
    if (home / "mlflow.db").exists():
        with closing(sqlite3.connect(home / "mlflow.db")) as database:
            for table in ("registered_models", "model_versions", "runs"):
                assert database.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_unreadable_rows_are_bad_input(session: Terminal, good: str) -> None:
    cases = {
        b"": "bad.csv: no rows in 0 bytes; give a file with data",
        b"text,label\n": "bad.csv: no rows in 11 bytes; give a file with data",
        good.replace("text,", "sentence,", 1).encode(): "column 'text' is missing; there are: 's",
        good.replace("thing7 ", "caf\u00e9 ").encode()
        + "caf\u00e9,positive\n".encode("latin-1"): "not utf-8: line 402, byte offset ",
        good.encode() + b'"never closed,positive\n': "close the quote, or set data.quoting: none",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)): "bad.csv: ",
    }
    for content, said in cases.items():
        check_refused(rows_of(session, content), 2, said)
    check_no_trace(session.home)


def test_missing_files_are_bad_input(session: Terminal) -> None:
    for source, said in {
        "absent.csv": "absent.csv: no file is there",
        "sample:review": "no sample 'review'; there are: reviews",
        "ftp://host/rows.csv": "unknown scheme",
        "hf://owner/name@main": "the revision 'main' is not pinned",
        "s3://bucket/rows.csv": "no complete credentials",
        "recipe.yaml": "the ending '.yaml' is none of",
    }.items():
        done = session.run("run", "recipe.yaml", "--set", f"data.source={source}")
        check_refused(done, 2, said)
    check_no_trace(session.home)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("positive\n", "postive\n", 30),
            ("label_set", "30 of 400 rows: postive", "checks.labels"),
        ),
        (("negative\n", "positive\n", -1), ("num_labels", "labels_present", "label_balance")),
        (("positive\n", "\n", 50), ("nulls:label", "50 of 400 rows", "missing_label 50")),
    ],
    ids=["wrong label", "one class", "no label"],
)
def test_bad_labels_are_refused_by_the_checks(
    session: Terminal, good: str, change: tuple[str, str, int], said: tuple[str, ...]
) -> None:
    check_refused(rows_of(session, good.replace(*change).encode()), 4, *said, "Data Docs: ")
    check_no_trace(session.home)


def test_a_label_that_is_not_a_number_is_refused(session: Terminal) -> None:
    rows = [f'{{"text": "thing {i}", "label": {"NaN" if i % 9 == 0 else 1 + i % 2}}}\n' for i in range(300)]  # fmt: skip
    done = rows_of(session, "".join(rows).encode(), "checks.labels=['1', '2']", name="nan.jsonl")
    check_refused(done, 4, "nulls:label", "34 of 300 rows")
    check_no_trace(session.home)


def test_three_rows_are_refused_by_the_checks(session: Terminal, good: str) -> None:
    done = rows_of(session, "".join(good.splitlines(keepends=True)[:4]).encode())
    check_refused(done, 4, "row_count", "at least 200 rows", "splits_complete")
    check_no_trace(session.home)


def test_a_ten_megabyte_text_goes_to_the_quarantine(session: Terminal, good: str) -> None:
    content = f'{good}"{MEGABYTES}",positive\n'.encode()
    done = rows_of(session, content, "checks.max_dropped_share=0")
    check_refused(done, 4, "dropped_share", "1 of 401 rows (0.2%) too_long 1")
    checked = session.run("check", "recipe.yaml", "--set", "data.source=bad.csv")
    assert checked.code == 0
    assert ["too_long", "1"] in [line.split() for line in checked.out.splitlines()]
    check_no_trace(session.home)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("base.model=./absent", "base.model='./absent' is not a folder; create it or name another"),
        ("base.model=package:minilm", "is not packaged; known: all-minilm-l6-v2"),
        ("base.model=bert-base", "base.revision=None pins nothing; give the commit, 40 hex digits"),
        ("base={model: a/b, revision: " + 40 * "a" + "}", "the hub cannot be reached for 'a/b'"),
        ("base.model=models:/absent@champion", "models:/absent@champion is not in the registry"),
        ("train.max_length=65", "max_length=65 exceeds the 64 positions of './base'"),
    ],
)
def test_an_unknown_base_is_refused_before_any_data_is_read(
    session: Terminal, override: str, said: str
) -> None:
    absent = ["--set", "data.source=absent.csv"]  # would be said first, were data looked at first
    check_refused(session.run("run", "recipe.yaml", "--set", override, *absent), 2, said)
    check_no_trace(session.home)


def test_bad_recipes_are_refused(session: Terminal) -> None:
    missing = session.run("run", "recipes.yaml")
    check_refused(missing, 2, "recipes.yaml has 1 problem:", "did you mean 'recipe.yaml'?")
    five = ("name=a b", "train.epochs=0", "trian.a=1", "gate.rule=best", "data.colums=[]")
    done = session.run("run", "recipe.yaml", *(part for s in five for part in ("--set", s)))
    check_refused(
        done,
        2,
        "recipe.yaml has 5 problems:",
        "name: string should match",
        "train.epochs: input should be greater than 0 (given: 0)",
        "trian: unknown key; did you mean 'train'?",
        "gate.rule: input should be 'superior' or 'non_inferior' (given: 'best')",
        "data.colums: unknown key; did you mean 'columns'?",
    )
    check_no_trace(session.home)


def test_escape_codes_in_refused_rows_are_made_visible(session: Terminal, good: str) -> None:
    content = good.replace("positive\n", f"{NASTY}red\n", 30).replace("the ", NASTY, 5)
    done = rows_of(session, content.encode())
    check_refused(done, 4, "\\x1b]0;owned\\x07\\x1b[2J\\x9b31mred")


@pytest.mark.slow
def test_the_first_run_in_a_fresh_home_says_one_thing(session: Terminal, tmp_path: Path) -> None:
    content = (session.folder / "rows.csv").read_bytes().replace(b"text,", b"sentence,", 1)
    (session.folder / "column.csv").write_bytes(content)
    command = ["run", "recipe.yaml", "--set", "data.source=column.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *command],
        cwd=session.folder,
        env={"PYTHONPATH": str(ROOT), "REFIT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    starting, *error = done.stderr.splitlines()
    assert starting.endswith("  starting; the first time in a new home takes a minute")
    assert done.stdout == ""
    assert done.returncode == 2
    assert len(error) == 1
    assert error[0].startswith("error: column.csv: column 'text' is missing; there are: 'sentence'")
    check_no_trace(tmp_path / "home")


# -- models that are there, and names that are not -------------------------------------------------


@pytest.fixture(scope="module")
def champion(session: Terminal, tmp_path_factory: pytest.TempPathFactory) -> LedgerEntry:
    """A champion of `reviews` in another store, whose label names are nasty."""
    folder = tmp_path_factory.mktemp("champion") / "model"
    base = session.folder / "base"
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=2, id2label={0: f"{NASTY}a", 1: f"{NASTY}b"}
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    digest = digest_of({p.name: file_sha256(p) for p in sorted(folder.iterdir())})
    store = LocalStore(session.folder / "known" / "store")
    put_folder(store, f"models/{digest}", folder)
    draft = LedgerEntry(
        sequence=0, previous_hash="", action="adopt", version="1", model_digest=digest,
        model_uri=f"models/{digest}", decision_digest="", is_anchor=True, actor="test", time="",
    )  # fmt: skip
    return append(store, "reviews", draft, decided_against=None)


def at_home(session: Terminal, *command: str, stdin: str = "") -> Done:
    """A command in the home of the champion."""
    return session.run(*command, stdin=stdin, REFIT_HOME=str(session.folder / "known"))


@pytest.mark.parametrize(
    "command",
    [
        ("lookup", "reviws"),
        ("lookup", "reviws@champion"),
        ("predict", "reviws", "fine"),
        ("explain", "reviws"),
        ("explain", "reviws:3"),
        ("rollback", "reviws", "--reason", "x"),
        ("release", "reviws"),
        ("rebase", "reviws", "--reason", "x"),
        ("retire", "reviws", "--reason", "x"),
        ("history", "reviws"),
        ("history", "reviws", "--verify"),
        ("decisions", "reviws"),
        ("reconcile", "reviws"),
    ],
    ids=" ".join,
)
def test_an_unknown_model_names_the_close_one(
    session: Terminal, champion: LedgerEntry, command: tuple[str, ...]
) -> None:
    done = at_home(session, *command)
    check_refused(done, 2, "no model 'reviws' is known in ", "; did you mean 'reviews'?")
    assert done.out == ""
    assert not (session.folder / "known" / "store" / "ledger" / "reviws").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("lookup", "zzz"), "there are: reviews"),
        (("lookup", "../reviews"), "must be 1 to 128 letters"),
        (("lookup", "reviews@latest"), "the ledger knows @champion and @anchor"),
        (("explain", "abcdef01"), "no decision begins with 'abcdef01'"),
        (("explain", "reviews"), "no decision made version 1 of 'reviews' champion"),
        (("explain", "reviews:9"), "no decision made version 9 of 'reviews' champion"),
        (("rollback", "reviews", "--reason", "x"), "there is no earlier champion to go back to"),
        (("rollback", "reviews", "--to", "9", "--reason", "x"), "9"),
        (("adopt", "reviews", "1"), "has a ledger already"),
        (("adopt", "other", "1"), "models:/other/1 cannot be fetched"),
        (("predict", "reviews", "--file", "absent.txt"), "absent.txt cannot be read"),
        (("predict", "reviews", "--file", "latin.txt"), "latin.txt cannot be read as UTF-8"),
        (("predict", "reviews", "caf\udce9"), "is not UTF-8 text; convert it first"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_not_done(
    session: Terminal, champion: LedgerEntry, command: tuple[str, ...], said: str
) -> None:
    (session.folder / "latin.txt").write_bytes("caf\u00e9\n".encode("latin-1"))
    (entry,) = (session.folder / "known" / "store" / "ledger").rglob("*.json")
    before = entry.read_bytes()
    check_refused(at_home(session, *command), 2, said)
    assert list((session.folder / "known" / "store" / "ledger").rglob("*.json")) == [entry]
    assert entry.read_bytes() == before


@pytest.mark.parametrize("way", ["argument", "file", "stdin"])
def test_predict_makes_escape_codes_visible(
    session: Terminal, champion: LedgerEntry, way: str
) -> None:
    text = f"{NASTY} fine\tthing"
    (session.folder / "texts.txt").write_text(text + "\n", "utf-8")
    source = {"argument": [text], "file": ["-f", "texts.txt"], "stdin": []}[way]
    done = at_home(session, "predict", "reviews", *source, stdin=text + "\n")
    assert done.code == 0, done.err
    label, score, shown = done.out.rstrip("\n").split("\t")
    assert label[:-1] == "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m"
    assert 0.5 <= float(score) <= 1
    assert shown == "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m fine\\tthing"


def test_predict_of_many_lines_as_json_keeps_one_answer_each(
    session: Terminal, champion: LedgerEntry
) -> None:
    done = at_home(session, "predict", "reviews", "--json", stdin=f"a\n\n{NASTY}\n" * 100)
    assert done.out.count('"label"') == 300
    assert all(c.isprintable() or c == "\n" for c in done.out)


# -- a real S3 server ------------------------------------------------------------------------------


def s3_environment(server: S3Server, secret: str = "") -> dict[str, str]:
    return {
        "REFIT_S3_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": secret or server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.mark.service
def test_an_unreadable_bucket_is_named(session: Terminal, s3_server: S3Server) -> None:
    command = ("run", "recipe.yaml", "--set", "data.source=s3://no-such-bucket/rows.csv")
    done = session.run(*command, **s3_environment(s3_server))
    check_refused(done, 2, "NoSuchBucket; create the bucket or correct its name")
    check_no_trace(session.home)


@pytest.mark.service
def test_a_wrong_secret_is_refused_and_not_shown(
    session: Terminal, s3_server: S3Server, s3_store: S3Store
) -> None:
    environment = s3_environment(s3_server, "wrong-secret-0123456789")
    source = f"data.source=s3://{s3_store.bucket}/rows.csv"
    as_data = session.run("run", "recipe.yaml", "--set", source, **environment)
    check_refused(as_data, 2, "check the access key, its secret, its rights and this clock")
    check_no_trace(session.home)
    for command in (("run", "recipe.yaml"), ("lookup", "reviews"), ("doctor", "--json")):
        done = session.run(*command, REFIT_STORE=f"s3://{s3_store.bucket}/refit", **environment)
        assert done.code == (1 if "doctor" in command else 2)
        assert "its secret, its rights and this clock" in done.out + done.err
        assert "wrong-secret" not in done.out + done.err
    assert list(s3_store.list("")) == []
