"""docs/theory.md names lines that exist."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "theory.md").read_text("utf-8")
OURS = sorted(set(re.findall(r"`((?:models|tests)/[\w/]+\.py)::([\w.]+)`", TEXT)))
THEIRS = sorted(set(re.findall(r"`((?:transformers|torch)(?:\.\w+)+)`", TEXT)))


def names_in(path: Path) -> set[str]:
    """Functions, classes and Class.method of a file."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
            }
    return found


@pytest.mark.parametrize(("file", "name"), OURS)
def test_a_named_function_of_ours_exists(file: str, name: str) -> None:
    assert name in names_in(ROOT / file)


@pytest.mark.parametrize("dotted", THEIRS)
def test_a_named_function_of_a_library_exists(dotted: str) -> None:
    module, _, name = dotted.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_the_document_names_lines_and_pictures() -> None:
    assert len(OURS) > 15
    assert len(THEIRS) >= 4
    for picture in re.findall(r"\]\((theory/[\w.]+)\)", TEXT):
        assert (ROOT / "docs" / picture).is_file()
