"""The page in a real browser: nothing runs, nothing is loaded, nothing overflows a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from report.page import render
from tests.report import documents

pytest_plugins = ["tests.browser"]


def _opened(browser: Browser, page: str, folder: Path) -> tuple[object, list[str]]:
    """`window.hacked` after loading, and every address that was asked for."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    tab = browser.new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    hacked = tab.evaluate("window.hacked ?? null")
    tab.close()
    return hacked, asked


def _hostile_page() -> str:
    document = documents.hostile()
    flips = [i for c in document.file.decision.comparisons for i in c.flips]
    return render(document, dict.fromkeys(flips, documents.HOSTILE))


def test_hostile_page_runs_no_script_and_loads_nothing(browser: Browser, tmp_path: Path) -> None:
    hacked, asked = _opened(browser, _hostile_page(), tmp_path)
    assert hacked is None
    assert asked == [(tmp_path / "report.html").as_uri()]


def test_policy_stops_a_script_that_got_through(browser: Browser, tmp_path: Path) -> None:
    """The second wall: with escaping broken by hand the policy still holds."""
    pierced = _hostile_page().replace("<main>", f"<main>{documents.HOSTILE}", 1)
    assert _opened(browser, pierced, tmp_path)[0] is None
    unguarded = pierced.replace("http-equiv", "data-off")
    assert _opened(browser, unguarded, tmp_path)[0] == 1


@pytest.mark.parametrize("name", documents.ALL)
def test_page_fits_a_phone(name: str, browser: Browser, tmp_path: Path) -> None:
    document = documents.ALL[name]()
    file = tmp_path / "report.html"
    file.write_text(render(document, documents.texts_of(document)), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(file.as_uri())
    width = tab.evaluate("document.documentElement.scrollWidth")
    tab.close()
    assert width == 390
