"""The messages that the guide of operations explains are those that the code says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from records.document import Outcome
from tasks.orchestrator import state_name
from tests.documented import GUIDES

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("data_checks", "deployments", "flows", "models", "records", "tasks")
FILLED_IN = re.compile(r"\.\.\.|'?\bNAME\b'?|\b(?:N|M|\d+)\b|^(?:MLflow|Prefect)\b")
"""What stands for something else in each message."""


def explained() -> list[list[str]]:
    """The first column of the guide's table: the messages of each row."""
    table = (GUIDES / "operations.md").read_text("utf-8").partition("## Trouble, by message")[2]
    rows = re.findall(r"^\| (`.*?`[^|]*) \|", table, re.M)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Each string of a module; what an f-string fills in is a line break."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "\n" for p in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def said() -> list[str]:
    """All that the code can say."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    trees = (ast.parse(file.read_text("utf-8")) for file in files)
    states = [state_name(outcome) for outcome in get_args(Outcome)]
    return [*(text for tree in trees for text in texts_of(tree)), *states]


@pytest.mark.parametrize("messages", explained(), ids=lambda found: found[0][:40])
def test_a_message_of_the_guide_is_one_of_the_codes(messages: list[str], said: list[str]) -> None:
    num_checked = 0
    for message in messages:
        fixed = [part.strip() for part in FILLED_IN.split(message) if part.strip(" ()")]
        if not fixed:  # another number in the same message
            continue
        pattern = re.compile(r"[\s\S]*".join(map(re.escape, fixed)))
        assert any(pattern.search(text) for text in said), f"nothing says {message!r}"
        num_checked += 1
    assert num_checked
    assert len(explained()) >= 18
