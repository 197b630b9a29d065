"""The reference in docs is what the code says."""

import re

import pytest

from deployments.reference import FOLDER, reference_files
from flows.recipe import Recipe


@pytest.mark.parametrize("name", ["recipe.md", "commands.md", "settings.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    found = (FOLDER / name).read_text("utf-8")
    assert found == reference_files()[name], "run `python -m deployments.reference`"


def test_every_field_of_the_recipe_has_a_meaning() -> None:
    page = reference_files()["recipe.md"]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", page, re.M)
    assert set(Recipe.model_fields) <= {name for name, *_ in rows}
    assert [name for name, *_, said in rows if not said.strip()] == []


def test_no_command_is_without_help() -> None:
    page = reference_files()["commands.md"]
    for part in page.split("\n## ")[1:]:
        assert len(part.split("```")[0].splitlines()[2]) > 20, part[:80]
