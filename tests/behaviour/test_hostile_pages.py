"""Data that would like to act: in Prefect's and MLflow's own pages it is shown, and does nothing.

The report's own page is opened in tests/report/test_browser.py.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route
from prefect import flow

from deployments.local.stack import Stack
from deployments.up import POOL, deploy_all
from flows.recipe import parse_recipe
from flows.rollback import rollback_markdown
from records.ledger import LedgerEntry
from report.card import model_card
from tasks.changes import override_card
from tasks.publish import artifact_key, publish_refused_data, show_decision
from tests.client_of import client_of
from tests.pictures import picture
from tests.report import documents

pytest_plugins = ["tests.browser"]
pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(900)]

EVIL = "evil.example"
IMAGES = f'![a](https://{EVIL}/a.png) <img src="https://{EVIL}/b.png" onerror="window.hacked=1">'
LINKS = f"[click](https://{EVIL}/c) [run](javascript:window.hacked=1) <https://{EVIL}/d>"
SCRIPT = "<script>window.hacked=1</script><svg onload=window.hacked=1></svg>"
EVIL_LINK = f"https://{EVIL}/|x"
NASTY = f"{IMAGES} {LINKS} {SCRIPT}"


class Tab:
    """A page of the browser, and what it asked of anybody but the servers here."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.strangers: list[str] = []
        page.route("**/*", self._look)

    def _look(self, route: Route) -> None:
        if urlsplit(route.request.url).hostname in ("127.0.0.1", None):
            route.continue_()
        else:
            self.strangers.append(route.request.url)
            route.abort()

    def open(self, address: str, name: str) -> None:
        """Open a page, wait for the script as text, and look for what the data may have done."""
        self.page.goto(address)
        try:
            self.page.get_by_text("<script>window.hacked=1").first.wait_for(timeout=60_000)
            self.page.wait_for_timeout(1000)  # an image would be asked for by now
        finally:
            picture(self.page, f"hostile-{name}")
        assert self.page.evaluate("window.hacked ?? null") is None
        assert [url for url in self.strangers if EVIL in url] == []
        found = f'a[href*="//{EVIL}"], a[href^="javascript"], img[src*="{EVIL}"]'
        assert [it.evaluate("e => e.outerHTML") for it in self.page.locator(found).all()] == []


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    yield Tab(page)
    page.close()


def artifact(stack: Stack, name: str, kind: str) -> str:
    """Address of the artifact's page."""
    wanted = {"artifacts": {"key": {"any_": [artifact_key(name, kind)]}}}
    found = httpx.post(f"{stack.prefect_url}/artifacts/filter", json=wanted, timeout=60).json()
    return f"{stack.prefect_ui}/v2/artifacts/artifact/{found[0]['id']}"


def test_prefect_shows_hostile_data_and_runs_none_of_it(real_stack: Stack, tab: Tab) -> None:
    document = documents.hostile()
    decision = document.file.decision.model_copy(update={"summary": f"summary {NASTY}"})
    record = document.file.record.model_copy(update={"name": "hostile"})  # names are checked
    file = document.file.model_copy(update={"decision": decision, "record": record})
    refused = documents.data_refused().data
    results = tuple(
        r.model_copy(update={"column": NASTY, "observed": NASTY, "next_step": NASTY})
        for r in refused.report.results
    )
    report = refused.report.model_copy(update={"results": results})

    @flow
    def publish() -> None:
        show_decision(document.model_copy(update={"file": file}), {"Report": EVIL_LINK})
        publish_refused_data(refused.model_copy(update={"report": report}), "refused")

    # Where the browser's loop runs, Prefect would take this for asynchronous code.
    with client_of(real_stack.environment()), ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, publish).result()
    tab.open(artifact(real_stack, "hostile", "decision"), "decision")
    tab.open(artifact(real_stack, "hostile", "rules"), "rules")
    tab.open(artifact(real_stack, "refused", "checks"), "checks")


def test_prefect_shows_a_hostile_recipe_and_runs_none_of_it(real_stack: Stack, tab: Tab) -> None:
    values = {
        "name": "nasty", "description": NASTY, "data": {"source": f"sample:reviews?{NASTY}"},
        "gate": {"minimum": 0.5},
    }  # fmt: skip
    with client_of(real_stack.environment()):
        deploy_all([parse_recipe(values)], POOL, "local")
    deployment = httpx.get(f"{real_stack.prefect_url}/deployments/name/retrain/nasty-local").json()
    page = f"{real_stack.prefect_ui}/v2/deployments/deployment/{deployment['id']}"
    tab.open(f"{page}?tab=Description", "recipe")


def test_mlflow_shows_hostile_data_and_runs_none_of_it(real_stack: Stack, tab: Tab) -> None:
    """The card of a promotion, and what an override says of itself."""
    from mlflow.tracking import MlflowClient

    document = documents.hostile()
    recipe = {**document.recipe, "description": NASTY}
    cards = [
        model_card(document.model_copy(update={"recipe": recipe})), override_card(NASTY, NASTY)
    ]  # fmt: skip
    client = MlflowClient(real_stack.mlflow_url)
    client.create_registered_model("nasty")
    for card in cards:
        version = client.create_model_version(
            "nasty", "s3://refit/mlflow/nasty", description=card, tags={"refit.reason": NASTY}
        ).version
        tab.open(f"{real_stack.mlflow_url}/#/models/nasty/versions/{version}", f"card-{version}")


def test_the_page_of_a_rollback_shows_its_reason_as_text() -> None:
    entry = LedgerEntry(
        sequence=2, previous_hash="", action="rollback", version="1", model_digest="m",
        model_uri="models/m", decision_digest="", actor=NASTY, reason=NASTY, time="2026-01-01T00:00:00Z",
    )  # fmt: skip
    shown = rollback_markdown("reviews", entry, f"https://host/#/models/{quote('reviews')}")
    assert "<" not in shown
    assert f"`https://{EVIL}/a.png`" in shown
    assert not re.search(r"(?<!\\)\]\((?!https://host/)", shown)
