"""A process that is killed leaves no run in Running; who is suspended or computes is left alone.

On a real Prefect server. Runs beat every second here instead of every 30, and the reaper's patience
is short accordingly; the soak (`make soak`) kills a worker and its run at the real pace.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from deployments.local.stack import Stack
from flows.deploy import deployments_of, services_of
from flows.reap import CRASHED_WITHIN_S, FLOWS, REAP_S, reap
from flows.recipe import parse_recipe
from flows.settings import clean_environment
from tasks.orchestrator import BEAT_S
from tasks.reaper import DEFAULT_BEAT_S, SILENT_S, Suspect
from tests.client_of import client_of
from tests.faults.looks import SILENT_TEST_S, look_until_crashed, name_of, run_of, tasks_of
from tests.terminal import ROOT

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]


@pytest.fixture
def connected(real_stack: Stack) -> Iterator[None]:
    with client_of(real_stack.environment()):
        yield


class Beating:
    """One run in a process of its own."""

    def __init__(self, kind: str, stack: Stack) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.beating", kind], cwd=ROOT, text=True,
            env={**clean_environment(), **stack.environment()}, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def started(self) -> UUID:
        assert self.process.stdout is not None
        return UUID(self.process.stdout.readline().strip())

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_who_was_killed_is_crashed_and_who_is_suspended_or_computes_is_not(
    real_stack: Stack, connected: None
) -> None:
    runs = {kind: Beating(kind, real_stack) for kind in ("waits", "works", "suspends")}
    try:
        ids = {kind: run.started() for kind, run in runs.items()}
        time.sleep(4)
        reap(SILENT_TEST_S)  # so that there is an earlier look
        runs["waits"].process.send_signal(signal.SIGKILL)
        assert runs["suspends"].process.wait(60) == 0
        took_s = look_until_crashed(ids["waits"], limit_s=90)
        print(f"crashed {took_s:.0f} s after the kill, by a patience of {SILENT_TEST_S:g} s")
        assert took_s >= SILENT_TEST_S
        assert name_of(ids["suspends"]) == "Suspended"
        assert name_of(ids["works"]) == "Running"
        state = run_of(ids["waits"]).state
        assert state is not None
        assert (state.message or "").startswith("Its process died: no heartbeat since")
        (left,) = tasks_of(ids["waits"])
        assert left.state_name == "Crashed", "its task is no longer shown as running"
        assert runs["works"].process.wait(120) == 0
        assert name_of(ids["works"]) == "Completed"
        reap(SILENT_TEST_S)
        assert name_of(ids["suspends"]) == "Suspended"
    finally:
        for run in runs.values():
            run.end()


def test_nobody_is_dead_for_a_reaper_that_was_not_heard_before(
    real_stack: Stack, connected: None
) -> None:
    """After an outage of the server everybody was silent: it takes two beats of the reaper's own."""
    dead = Beating("waits", real_stack)
    try:
        run_id = dead.started()
        time.sleep(3)
        dead.end()
        time.sleep(SILENT_TEST_S)
        reap(3600.0)
        assert name_of(run_id) == "Running"
    finally:
        dead.end()


def test_a_run_that_died_before_its_first_beat_is_judged_by_its_start() -> None:
    state = Running()
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), state=state)
    assert Suspect(run, ()).last_sign == state.timestamp
    later = state.timestamp + timedelta(seconds=30)
    assert Suspect(run, (later, state.timestamp)).last_sign == later
    assert Suspect(run, ()).patience(SILENT_S) == timedelta(seconds=SILENT_S)
    by_hand = FlowRun(flow_id=uuid4(), state=state)
    assert Suspect(by_hand, ()).patience(SILENT_S) > timedelta(seconds=2 * DEFAULT_BEAT_S)


def test_the_stated_time_is_what_the_settings_add_up_to() -> None:
    """A run misses a beat, a look follows, silence, another look; each look may be a worker's poll,
    a start and a write late."""
    late_s = 30.0
    assert SILENT_S > BEAT_S + 5, "Prefect writes beats down every five seconds"
    assert REAP_S > SILENT_S, "two looks that follow each other are two beats apart enough"
    assert SILENT_S + 2 * (REAP_S + late_s) <= CRASHED_WITHIN_S


def test_every_flow_that_is_deployed_is_looked_after() -> None:
    values = {"name": "tiny", "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8},
              "watch": {"every_s": 60}}  # fmt: skip
    deployed = [*deployments_of(parse_recipe(values), "x"), *services_of("x")]
    assert {deployment.flow.name for deployment in deployed} == set(FLOWS)
