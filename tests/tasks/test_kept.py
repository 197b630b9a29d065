"""No task is answered by Prefect from an earlier call: results lie in the store, by digest (ADR 17)."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.settings import (
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

import flows
import tasks
from tasks.kept import KeptTask
from tests.world import World

pytest_plugins = ["tests.worlds"]


def all_tasks() -> Iterator[Task]:
    """Every task of the project, wherever it is defined."""
    for room in (flows, tasks):
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                known = value._task if isinstance(value, KeptTask) else value
                if isinstance(known, Task) and value.fn.__module__ == found.name:
                    yield known


def test_no_task_keeps_its_result_in_prefect_whatever_the_operator_sets() -> None:
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        kept = {task.name: (task.persist_result, task.cache_policy) for task in all_tasks()}
    assert {"reconcile", "train", "promote"} <= set(kept)
    assert kept == dict.fromkeys(kept, (False, NO_CACHE))


@pytest.mark.slow
def test_the_alias_follows_a_promotion_where_prefect_keeps_results(
    adopted: World, prefect_server: None, tmp_path: Path
) -> None:
    keeps = {
        PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
    }
    with temporary_settings(keeps):
        result = adopted.run(adopted.recipe())
    assert (result.outcome, result.version) == ("promoted", "2"), result.summary
    assert adopted.alias == "2"
