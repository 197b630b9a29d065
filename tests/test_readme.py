"""The Chinese first page names what is there."""

import re
from pathlib import Path

import typer

from deployments.cli import app
from flows import settings

ROOT = Path(__file__).resolve().parents[1]


def test_the_chinese_page_names_commands_variables_and_files_that_are_there() -> None:
    page = (ROOT / "README.zh.md").read_text("utf-8")
    commands = set(re.findall(r"^refit ([a-z-]+)", page, re.M))
    assert commands <= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert {"run", "serve", "rollback", "deploy"} <= commands
    variables = set(re.findall(r"REFIT_[A-Z0-9_]+", page))
    assert variables == set(re.findall(r"REFIT_[A-Z0-9_]+", settings.__doc__ or ""))
    links = re.findall(r"\]\((?!http)([^)#]+)\)", page)
    assert [link for link in links if not (ROOT / link).exists()] == []
