"""What a machine computes with; and the lists of code that a train key holds."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import models
from models.device import TRAINING_CODE, loading
from models.errors import UnknownBase
from models.task_code import task_code
from records.task import TASKS, Task

ROOM = Path(models.__path__[0])
MOVES_NOTHING = {
    "config": "its values are in the key, its version is TRAIN_VERSION",
    "errors": "exceptions",
    "memory": "measures",
    "scoring": "what a test item scores, after the training",
    "task_code": "which module is whose",
}
"""Imported by trainings, and no part of their key, with the reason."""
MOVES_NOTHING_OF: dict[Task, set[str]] = {"classification": {"corpus"}}
"""`corpus` gives `metrics` micro-F1, which sets of labels are judged by, and single labels never."""


def imported(module: str) -> Iterator[str]:
    """Modules of this room that a module imports, inside of functions too; not those for types only."""
    nodes: list[ast.AST] = [ast.parse((ROOM / f"{module}.py").read_text("utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.module == "models":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("models."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            named = (alias.name.split(".") for alias in node.names)
            yield from (parts[1] for parts in named if parts[0] == "models" and len(parts) > 1)


def all_imported(module: str) -> set[str]:
    """A module, and all of this room that it imports, directly or not."""
    found, waiting = set(), [module]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += imported(name)
    return found


def test_code_of_every_training_is_what_train_imports() -> None:
    assert set(TRAINING_CODE) == all_imported("train") - set(MOVES_NOTHING)


@pytest.mark.parametrize("task", TASKS)
def test_code_of_a_tasks_training_is_what_its_lesson_imports(task: Task) -> None:
    listed = task_code(task).training_modules
    found = all_imported(f"{task}_lesson") - set(TRAINING_CODE) - set(MOVES_NOTHING)
    assert set(listed) == found - MOVES_NOTHING_OF.get(task, set())


STEPS = """
import resource, torch
from models.device import keep_freed_memory
{begin}
for number in range(40):  # the first ones, up to seven, find their places
    if number == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_memory_that_a_training_frees_is_there_for_its_next_step() -> None:
    given_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", STEPS.format(begin=begin)]))
        for begin in ("", "keep_freed_memory()")
    )
    assert kept < given_back / 100, "pages made anew"


def test_no_memory_while_a_model_loads_says_nothing_about_the_model() -> None:
    with pytest.raises(RuntimeError, match="can't allocate memory"), loading("the model"):
        torch.empty(2**50, dtype=torch.uint8)
    with pytest.raises(UnknownBase, match="the model cannot be loaded"), loading("the model"):
        torch.empty(-1)
