"""Every task x strategy x family goes one way: from recipe to decision, or to a clear refusal.

One process for all, since starting Python anew for each score would take most of the time.
"""

import ast
import gc
import importlib
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, get_args

import mlflow
import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

import tasks.evaluate
from flows.recipe import Recipe, RecipeError, parse_recipe
from models.config import Architecture, TrainConfig
from models.errors import SettingExceedsModel
from records.document import DecisionDocument
from records.task import TASKS, Task
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

STRATEGIES = get_args(TrainConfig.model_fields["strategy"].annotation)
FAMILIES = get_args(Architecture)
ALL = tuple(product(TASKS, STRATEGIES, FAMILIES))
FOR_LABELS = ("head", "contrastive")
"""Strategies that make a head for labels."""
WORDS = ["lamp", "chair", "hat", "clock", "door", "cup", "shoe", "book"]
COLOURS = ["red", "blue", "white", "black", "green"]
ROWS = [f"The {word} in room {i} is {COLOURS[i % 5]}." for i in range(10) for word in WORDS]
COLUMNS: dict[Task, tuple[str, ...]] = {
    "classification": ("text", "label"),
    "multilabel": ("text", "labels"),
    "chat": ("prompt", "answer"),
    "language_modeling": ("text",),
    "translation": ("source", "target"),
}


SHORT = {"generation": {"beams": 1, "max_new_tokens": 2}}
OWN_SETTINGS: dict[Task, dict[str, Any]] = {
    "chat": {"chat_template": "plain", "batch_size": 2, **SHORT},  # packed: few rows
    "language_modeling": {"batch_size": 2},
    "translation": {"max_target_length": 48, **SHORT},
}


def is_possible(task: Task, strategy: str, family: str) -> bool:
    facts = TASKS[task]
    has_head = facts.has_labels or strategy not in FOR_LABELS
    has_head &= not (facts.has_label_sets and strategy == "contrastive")
    return family in facts.architectures and has_head and strategy != "qlora"


POSSIBLE = tuple(case for case in ALL if is_possible(*case))
TOO_MUCH_HERE = tuple((task, "qlora", TASKS[task].architectures[0]) for task in TASKS)
"""QLoRA is refused before the family matters: one of each task shows it."""


class InThisProcess:
    """Stands in for `subprocess` where models are scored: the same modules, already imported."""

    @staticmethod
    def run(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        module, *arguments = command[2:]
        code = importlib.import_module(module).main(arguments)
        return subprocess.CompletedProcess(command, code, "", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("every")
    answers = {
        "label": "ab",
        "labels": ["a|b", "c"],
        "answer": ["Yes.", "No."],
        "target": ["Ja, rot.", "Nein, blau."],
    }
    for task, columns in COLUMNS.items():
        right = answers.get(columns[-1], [])
        lines = [
            "\t".join([text, right[i % 2]] if right else [text]) for i, text in enumerate(ROWS)
        ]
        for name, part in (("train", lines[:68]), ("test", lines[68:])):
            (folder / f"{task}-{name}.tsv").write_text("\n".join(["\t".join(columns), *part]))
    mlflow.set_system_metrics_sampling_interval(1)
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(
            {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
        ),
    ):
        patch.setattr(tasks.evaluate, "subprocess", InThisProcess)
        gc.collect()
        gc.freeze()  # else every training looks through all that was imported: half of its time
        yield World(folder / "home", folder)
        gc.unfreeze()


def recipe_of(folder: Path, task: Task, strategy: str, family: str) -> Recipe:
    shape = {"architecture": family, "layers": 1, "width": 8, "heads": 2, "positions": 48,
             "vocabulary": 320}  # fmt: skip
    values: dict[str, Any] = {
        "name": f"every-{task}".replace("_", "-"),
        "task": task,
        "data": {name: str(folder / f"{task}-{name}.tsv") for name in ("train", "test")},
        "checks": {"min_rows": 20, "max_duplicate_share": 1.0, "max_dropped_share": 0.9},
        "split": {"validation": 0.2},
        "base": {"scratch": shape},
        "train": {"strategy": strategy, "epochs": 1, "batch_size": 8, "max_length": 48,
                  "learning_rate": 0.01,
                  "precision": "fp32", **OWN_SETTINGS.get(task, {})},
        "gate": {"minimum": 0.1, "min_items": 10},
    }  # fmt: skip
    return parse_recipe(values)


@pytest.mark.parametrize(("task", "strategy", "family"), POSSIBLE)
def test_a_combination_comes_to_a_decision(
    world: World, task: Task, strategy: str, family: str
) -> None:
    recipe = recipe_of(world.files, task, strategy, family)
    result = world.run(recipe)
    assert result.outcome in ("promoted", "refused"), result.summary
    file = world.path(f"reports/{recipe.name}/{result.decision_digest}/document.json")
    document = DecisionDocument.from_json(file.read_bytes())
    assert document.recipe["train"]["strategy"] == strategy
    assert document.train.base == f"scratch:{family}"
    assert document.train.num_steps > 3
    card = document.file.record.challenger
    assert not card.error
    assert TASKS[task].metrics[0] in card.metrics
    findings = {finding.rule: finding for finding in document.file.decision.findings}
    assert findings["parity"].state == "passed", findings["parity"].reason
    assert Path(result.report_path).stat().st_size > 10_000


@pytest.mark.parametrize(("task", "strategy", "family"), TOO_MUCH_HERE)
def test_what_needs_a_card_says_so(world: World, task: Task, strategy: str, family: str) -> None:
    with pytest.raises(
        SettingExceedsModel, match=r"strategy='qlora' needs a CUDA card.*use .*lora"
    ):
        world.run(recipe_of(world.files, task, strategy, family))


def test_every_other_combination_is_refused_with_its_reason(tmp_path: Path) -> None:
    assert len(ALL) == len(TASKS) * len(STRATEGIES) * len(FAMILIES) == 180
    refused = [c for c in ALL if c not in POSSIBLE and c[1:2] != ("qlora",)]
    for task, strategy, family in refused:
        with pytest.raises(RecipeError) as caught:
            recipe_of(tmp_path, task, strategy, family)
        said = str(caught.value)
        facts = TASKS[task]
        if family not in facts.architectures:
            assert f"{family!r} has no head for {task}; use {facts.architectures[0]}" in said
        if strategy in FOR_LABELS and not facts.has_labels:
            assert f"{strategy!r} makes a head for labels, and {task} has none" in said
        if strategy == "contrastive" and facts.has_label_sets:
            assert f"together, and {task} has several per text" in said
    assert len(POSSIBLE) == 25 + 20 + 3 * (2 + 3 + 2)


def test_there_is_one_flow_that_trains_and_one_call_of_it() -> None:
    """The source itself: whatever the task, one function trains, one judges, one decides."""
    root = Path(__file__).parents[2]
    sources = {
        p: p.read_text("utf-8") for room in ("flows", "tasks") for p in (root / room).glob("*.py")
    }
    for call in ("train_challenger(", "decide_challenger(", "evaluate("):
        callers = [
            path.name
            for path, text in sources.items()
            if path.parent.name == "flows" and f" {call}" in text
        ]
        assert callers == ["retrain.py"], call


MAY_NAME_THEM = {
    ("tasks/registry.py", "SHIPPED"): "the room's table of tasks (docs/adr/0004): a row for each",
    ("tasks/endpoint.py", "_no_completion"): "chat completions are an API of others",
}
"""File and top-level name whose literals may name a task or a family, and why."""


def literals_of(statement: ast.stmt) -> Iterator[str]:
    """Every string in it but docstrings, parts of f-strings too."""
    nodes = list(ast.walk(statement))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def owner_of(statement: ast.stmt) -> str:
    """The name that a top-level statement makes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return getattr(targets[0], "id", "")


def test_no_literal_of_flows_and_tasks_names_a_task_or_a_family() -> None:
    """They ask facts of records/task.py, wherever the question stands: a new task is a row there."""
    root, names = Path(__file__).parents[2], {*TASKS, *FAMILIES}
    found = {
        (path.relative_to(root).as_posix(), owner_of(statement)): text
        for room in ("flows", "tasks")
        for path in sorted((root / room).rglob("*.py"))
        for statement in ast.parse(path.read_text("utf-8")).body
        for text in literals_of(statement)
        if names & {word.strip(".:;") for word in re.split(r"[\s,'\"()|]+", text)}
    }
    assert found.keys() == MAY_NAME_THEM.keys(), found
