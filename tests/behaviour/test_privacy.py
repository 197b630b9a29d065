"""Personal data in the rows is nowhere in what a run shows or keeps for people; the rows keep it."""

import asyncio
from pathlib import Path

import pandas as pd
import pytest
from prefect import get_client

from data_checks.problems import ParseError
from deployments.data_commands import show_refused_data
from flows.recipe import Recipe
from tasks.check import read_split
from tasks.payload import open_folder
from tests.client_of import let_events_go
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

PLANTED = {
    "e-mail": "anna.o.neil@mail.example", "phone": "+49 30 901820", "card number": "4111111111111111",
    "IBAN": "DE89370400440532013000", "IP address": "203.0.113.77", "userinfo": "ann:s3cret",
}  # fmt: skip
IN_TEXT = {**PLANTED, "userinfo": "https://ann:s3cret@shop.example/"}
ERASABLE = {".parquet"}
"""Rows and answers; their page is erased with them."""


@pytest.fixture
def world(adopted: World, tmp_path: Path, prefect_server: None) -> World:
    """Beside it are rows of which every text ends with somebody's data, as an attribute does."""
    values = list(IN_TEXT.values())
    for name in ("noisy", "test"):
        rows = pd.read_csv(adopted.files / f"{name}.csv")
        rows["contact"] = [values[i % len(values)] for i in range(len(rows))]
        rows["text"] += " " + rows["contact"]
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return adopted


def recipe_of(world: World, *overrides: str) -> Recipe:
    return world.recipe(
        f"data.train={world.home.parent / 'noisy.csv'}",
        f"data.test={world.home.parent / 'test.csv'}",
        "data.attributes=[contact]",
        "gate.slices={columns: [contact], min_n: 20}",
        *overrides,
    )


def found_in(world: World) -> list[str]:
    """Files of the home, but rows and answers, that hold what was planted."""
    paths = [p for p in world.home.rglob("*") if p.is_file() and p.suffix not in ERASABLE]
    assert {"report.html", "mlflow.db"} <= {p.name for p in paths}
    return [
        f"{path.relative_to(world.home)}: {value}"
        for path in paths
        for value in PLANTED.values()
        if value.encode() in path.read_bytes()
    ]


def told_by_prefect() -> str:
    """Every artifact, and the names and messages of every run."""

    async def read() -> list[str]:
        async with get_client() as client:
            artifacts = await client.read_artifacts()
            runs = await client.read_flow_runs()
        return [a.model_dump_json() for a in artifacts] + [r.model_dump_json() for r in runs]

    let_events_go()
    return "\n".join(asyncio.run(read()))


def assert_clean(said: str) -> None:
    assert [value for value in PLANTED.values() if value in said] == []


def test_a_whole_run_shows_the_kind_and_never_the_value(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    result = world.run(recipe_of(world))
    assert result.outcome == "refused", result.summary
    page = Path(result.report_path).read_text("utf-8")
    flips = page.partition('id="flips"')[2].partition("</section>")[0]
    assert [kind for kind in PLANTED if f"[{kind}]" not in flips] == []
    reasons = page.partition('id="reasons"')[2].partition("</section>")[0]
    assert any(f"[{kind}]" in reasons for kind in PLANTED)
    rules = {f.rule for f in world.decision(result.decision_digest).decision.findings}
    assert "slice:contact=[e-mail]" in rules
    assert_clean(page)
    assert_clean(world.decision(result.decision_digest).to_json().decode())
    assert found_in(world) == []
    assert_clean(caplog.text)
    told = told_by_prefect()
    assert "tiny-decision" in told
    assert_clean(told)
    test = world.data(recipe_of(world)).split("test")
    rows = read_split(world.store, test, world.place.cache)
    assert rows["text"].str.contains(PLANTED["e-mail"], regex=False).any(), "they stay as they are"


def test_refused_rows_are_shown_by_their_kind(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(
        world, "data.label=contact", "data.attributes=[]", "gate.slices={}", "checks.labels=[a, b]"
    )
    result = world.run(recipe)
    assert result.outcome == "data_refused"
    show_refused_data(world.place, result.data_key)
    shown = "".join(capsys.readouterr())
    assert "[e-mail]" in shown
    data = open_folder(world.store, f"data/{result.data_key}", world.place.cache)
    docs = data / "data_docs" / "index.html"
    assert "[e-mail]" in docs.read_text("utf-8")
    for said in (shown, docs.read_text("utf-8"), caplog.text, told_by_prefect()):
        assert_clean(said)
    report = (data / "report.json").read_text("utf-8")
    assert_clean(report)


def test_an_error_of_a_file_quotes_the_kind(world: World, tmp_path: Path) -> None:
    path = tmp_path / "sets.csv"
    path.write_text(f"text,label\nA text,\"['{PLANTED['e-mail']}'\"\n", "utf-8")
    with pytest.raises(ParseError, match=r"\[e-mail\]") as caught:
        world.run(
            world.recipe(
                "task=multilabel", f"data={{source: {path}, label: label, label_separator: ';'}}"
            )
        )
    assert_clean(str(caught.value))
