"""A night as it goes: a run dies in the middle of its training, is Crashed, and the next one goes on.

On what production has: PostgreSQL, S3, a Prefect server, an MLflow server and a worker.
"""

import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from deployments.local.processes import Child, Processes
from deployments.local.stack import Stack, s3_settings
from deployments.up import POOL, start_worker
from flows.deploy import deploy
from flows.pools import ensure_pool
from flows.recipe import Recipe, parse_recipe
from tasks import stranded
from tasks.ledger import champion, history, verify
from tasks.payload import MANIFEST
from tasks.place import Place
from tasks.registry import TAG_DIGEST, Registry
from tasks.store import Store, open_store
from tests import waiting
from tests.client_of import client_of
from tests.faults.looks import look_until_crashed, name_of, run_of, tasks_of
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(1800)]

NAME = "night"
LIMIT_S = 600.0
wait_for = partial(waiting.wait_for, pause_s=0.05)  # a checkpoint is soon followed by another
CURVE = "loss"


class Night:
    """A deployed recipe, a worker that can be killed, and what they leave behind."""

    def __init__(self, stack: Stack, processes: Processes, recipe: Recipe) -> None:
        self.stack = stack
        self.processes = processes
        self.name = recipe.name
        self.recipe = recipe
        deploy(recipe, pool=POOL, environment="night")
        self.worker = self.new_worker()

    def new_worker(self) -> Child:
        self.worker = start_worker(self.processes, self.stack, poll_s=0.5)
        return self.worker

    def start(self) -> UUID:
        """A run of the deployment, as a schedule or a person starts it."""
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"retrain/{self.name}-night")
            return client.create_flow_run_from_deployment(deployment.id).id

    def runs(self) -> list[FlowRun]:
        """The first one first."""
        with get_client(sync_client=True) as client:
            runs = [
                run
                for run in client.read_flow_runs()
                if run.parameters.get("recipe", {}).get("name") == self.name
            ]
        return sorted(runs, key=lambda run: str(run.created))

    @property
    def store(self) -> Store:
        assert self.stack.s3 is not None
        return open_store(self.stack.store_uri, s3_settings(self.stack.s3))

    @property
    def registry(self) -> Registry:
        return Registry(
            Place(home=".", store_uri=self.stack.store_uri, tracking_uri=self.stack.mlflow_url)
        )

    def checkpoint(self) -> int:
        """Step of the latest whole checkpoint; 0: there is none."""
        whole = [key for key in self.store.list("checkpoints") if key.endswith(MANIFEST)]
        return max((int(key.split("/")[2].partition("-")[0]) for key in whole), default=0)

    def champion_digest(self) -> str:
        """Of the only entry of a ledger that holds, and of the version that the alias names."""
        (entry,) = history(self.store, self.name)
        assert champion((entry,)) == entry
        assert verify(self.store, self.name) == []
        (version,) = self.registry.versions(self.name)
        assert version.tags[TAG_DIGEST] == entry.model_digest
        assert self.registry.alias_version(self.name) == version.version
        return entry.model_digest

    def curve(self) -> list[int]:
        """Steps of the only training run in MLflow, as they were written."""
        client = self.registry.client
        experiment = client.get_experiment_by_name(self.name)
        (run,) = client.search_runs([experiment.experiment_id])
        return [point.step for point in client.get_metric_history(run.info.run_id, CURVE)]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "worker") as processes:
        yield processes


@pytest.fixture
def connected(real_stack: Stack) -> Iterator[None]:
    quiet = {PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}  # tasks outside a flow
    with client_of(real_stack.environment()), temporary_settings(quiet):
        ensure_pool(POOL)
        yield


def recipe(world: World, name: str, **train: Any) -> Recipe:
    """Of a first champion, whose training writes a checkpoint after each epoch.

    Ten epochs would be over before anybody could kill it twice.
    """
    values = world.first_recipe().model_dump(mode="json", exclude_defaults=True)
    longer = {**values["train"], "epochs": 60, **train}
    return parse_recipe({**values, "name": name, "train": longer})


def is_over(run_id: UUID) -> bool:
    state = run_of(run_id).state
    return state is not None and state.is_final()


def kill_group(run_id: UUID) -> None:
    """SIGKILL to the run's process and all of its group; the worker stays."""
    pid = process_of(run_id)
    group = os.getpgid(pid)
    os.killpg(group, signal.SIGKILL)


def process_of(run_id: UUID) -> int:
    return int(str(run_of(run_id).infrastructure_pid))


def said(run_id: UUID) -> str:
    """The log of a run as its page shows it."""
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
    return "\n".join(log.message for log in logs)


def test_killed_twice_it_ends_as_if_it_had_never_been(
    real_stack: Stack, processes: Processes, connected: None, files: Path, tmp_path: Path
) -> None:
    world = World(tmp_path / "calm", files)
    night = Night(real_stack, processes, recipe(world, NAME))
    first = night.start()
    wait_for(night.checkpoint)
    kill_group(first)
    wait_for(lambda: name_of(first) == "Crashed", 60)  # its worker lives, and says so
    reached = night.checkpoint()

    second = night.start()
    further = wait_for(lambda: night.checkpoint() > reached and night.checkpoint())
    night.worker.kill()
    assert name_of(second) == "Running", "nobody is left to say that it died"
    took_s = look_until_crashed(second, 120)
    for run_id in (first, second):
        assert {task.state_name for task in tasks_of(run_id)} <= {"Crashed", "Completed", "Cached"}
        assert "Crashed" in {task.state_name for task in tasks_of(run_id)}

    night.new_worker()
    third = night.start()
    wait_for(lambda: is_over(third))
    assert name_of(third) == "Promoted", run_of(third).state
    steps = [
        int(text) for text in re.findall(r"going on from the checkpoint of step (\d+)", said(third))
    ]
    assert steps
    assert steps[0] >= further
    curve = night.curve()
    assert curve == sorted(set(curve)), "no step is written twice"
    assert night.champion_digest() == world.train(night.recipe).model_digest
    print(f"killed at steps {reached} and {further} of {curve[-1]}; Crashed after {took_s:.0f} s")


def test_a_slow_start_that_was_taken_for_dead_does_no_work_twice(
    real_stack: Stack,
    processes: Processes,
    connected: None,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worst case of starting another run: the first one comes to life while that one trains."""
    monkeypatch.setattr(stranded, "AGAIN_S", 1.0)
    world = World(tmp_path, files)
    night = Night(real_stack, processes, recipe(world, "slow", seed=5))
    first = night.start()
    wait_for(lambda: run_of(first).infrastructure_pid)
    slow = psutil.Process(process_of(first))
    slow.suspend()
    assert run_of(first).state_type == "PENDING"
    look_until_crashed(first, 120, pending_s=1.0)
    _, other = night.runs()
    wait_for(night.checkpoint)
    slow.resume()
    slow.wait(LIMIT_S)
    wait_for(lambda: is_over(other.id))
    # Prefect ends the first one itself, as soon as it notices that its slot has gone.
    ended = {name_of(first), name_of(other.id)}
    assert ended - {"Already running", "Unchanged", "Crashed"} == {"Promoted"}
    assert night.champion_digest()
    curve = night.curve()
    assert curve == sorted(set(curve))
