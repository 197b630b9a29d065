"""The guides name commands, options, recipes, fields and pages that are there."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml

from deployments.cli import app
from flows.recipe import load_recipe, parse_recipe

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guides").glob("*.md"))
    if path.name != "log.md"
)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.M | re.S)


def typed(page: str) -> list[list[str]]:
    """The words of each `refit ...` command in a block of shell."""
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    parts = [part for line in text.splitlines() for part in re.split(r"&&|;(?= )", line)]
    words = [shlex.split(part, comments=True) for part in parts if re.match(r"\s*refit ", part)]
    return [word[1:] for word in words]


@pytest.mark.parametrize("page", PAGES)
def test_a_guides_commands_and_options_are_there(page: str) -> None:
    for name, *rest in typed(page):
        assert name in COMMANDS, f"refit {name}"
        known = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known, f"refit {name}"


@pytest.mark.parametrize("page", PAGES)
def test_a_guides_recipes_are_there_and_take_what_is_set(page: str) -> None:
    names = re.findall(r"deployments/recipes/[\w.-]+\.yaml", read(page))
    assert [name for name in names if not (ROOT / name).is_file()] == []
    for name, *rest in typed(page):
        recipe = rest[0] if rest and name in ("run", "check") else ""
        if recipe in names:
            sets = [b for a, b in pairwise(rest) if a == "--set"]
            load_recipe(ROOT / recipe, [item for item in sets if not item.endswith("=...")])


@pytest.mark.parametrize("page", PAGES)
def test_a_guides_whole_recipes_are_valid(page: str) -> None:
    for block in blocks(page, "yaml"):
        if re.search(r"^name:", block, re.M):
            parse_recipe(yaml.safe_load(block), origin=page)


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#\s]+)", read(page))
    folder = (ROOT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []


def test_these_tests_look_at_commands_and_at_recipes() -> None:
    assert sum(len(typed(page)) for page in PAGES) > 30
    assert sum(bool(re.search(r"^name:", b, re.M)) for p in PAGES for b in blocks(p, "yaml")) >= 3
