"""What pages looked like in a test: kept by CI, ignored by git."""

from pathlib import Path

from playwright.sync_api import Page

PICTURES = Path(__file__).resolve().parents[1] / "build" / "screens"


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
