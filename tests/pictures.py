"""What pages looked like in a test: kept by CI, ignored by git."""

from pathlib import Path

from playwright.sync_api import Locator, Page

PICTURES = Path(__file__).resolve().parents[1] / "build" / "screens"


def picture(what: Page | Locator, name: str) -> None:
    """Keep what a whole page, or a part of one, looks like."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    if isinstance(what, Page):
        what.screenshot(path=path, full_page=True)
    else:
        what.screenshot(path=path)
