"""Services that go away: for a while it costs a delay and not the run; for good, one clear error.

And runs on the real servers that are killed between registering, appending, alias and page.
"""

import itertools
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE

from deployments.exits import Exit, explain_exception
from deployments.local.processes import Processes
from deployments.local.stack import Stack
from tasks import retries
from tasks.objects import AccessDenied, DiskFull, MissingObject, StoreError, StoreUnreachable
from tasks.retries import OUTAGE_S, growing_delays, may_pass, patience, patient
from tasks.store import LocalStore
from tests.faults.conftest import RECIPE
from tests.faults.runs import Zygote
from tests.faults.served import Served, away, pause
from tests.world import World

pytest_plugins = ["tests.worlds"]

IS_FULL = os.environ.get("REFIT_FAULTS") == "all"
OUTAGE_TEST_S = 60.0 if IS_FULL else 5.0
PROMOTION = (
    "registry.create_model_version #1",
    "store.put_if_absent ledger/{name}/000000000001.json #1",
    "registry.set_registered_model_alias #1",
    "registry.set_registered_model_tag #1",
    "store.write reports/{name}/*/report.html #1",
    "store.write reports/{name}/*/document.json #1",
)
"""What is written from the registration to the page, in this order."""
KILLS = (
    [[f"{when} {what}"] for what in PROMOTION for when in ("before", "after")]
    if IS_FULL
    else [[f"after {what}" for what in PROMOTION[:2]]]
)
"""Each run dies at the first of its points, the next one at the second, and the one after them ends."""
SECRET = "s3cret-of-the-outage"
ended: dict[str, Any] = {}
"""How the first run of this file ended on the real servers; every other one must end so."""


# -- how long is waited, and for what ---------------------------------------------------------------


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retries, "time", clock)
    return clock


def failing_until(clock: Clock, end_s: float, exc: Exception) -> Callable[[], str]:
    @patient
    def call() -> str:
        if clock.now < end_s:
            raise exc
        return "answer"

    return call


@pytest.mark.parametrize("seed", range(20))
def test_the_default_patience_survives_a_minute_by_growing_delays(clock: Clock, seed: int) -> None:
    random.seed(seed)
    call = failing_until(clock, 61.0, StoreUnreachable("s3://b/k does not answer; try again"))
    with patience(OUTAGE_S):
        assert call() == "answer"
    assert len(clock.slept) <= 9
    assert clock.slept[-1] > 4 * clock.slept[0]


def test_no_two_runs_come_back_at_the_same_instant() -> None:
    first, second = (list(itertools.islice(growing_delays(), 5)) for _ in range(2))
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_patience_ends_and_inner_calls_do_not_wait_once_more(clock: Clock) -> None:
    inner = failing_until(clock, 1e9, StoreUnreachable("gone"))
    outer = patient(lambda: inner())
    with patience(100.0), pytest.raises(StoreUnreachable, match="gone"):
        outer()
    assert clock.now == pytest.approx(100.0)
    with pytest.raises(StoreUnreachable):
        outer()
    assert clock.now == pytest.approx(100.0), "at a terminal a call fails at once"


def answered(status: int) -> Any:
    request = httpx.Request("GET", "http://127.0.0.1:1/api")
    return httpx.HTTPStatusError(
        "no", request=request, response=httpx.Response(status, request=request)
    )


@pytest.mark.parametrize(
    ("exc", "is_tried_again"),
    [
        (StoreUnreachable("503"), True),
        (ConnectionResetError("reset"), True),
        (TimeoutError("late"), True),
        (requests.ConnectionError("refused"), True),
        (requests.ReadTimeout("late"), True),
        (httpx.ConnectError("refused"), True),
        (answered(429), True),
        (answered(502), True),
        (MlflowException("busy", TEMPORARILY_UNAVAILABLE), True),
        (AccessDenied("403"), False),
        (MissingObject("404"), False),
        (StoreError("bad key"), False),
        (answered(403), False),
        (answered(404), False),
        (answered(422), False),
        (MlflowException("no", PERMISSION_DENIED), False),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}), False),
        (ValueError("validation"), False),
        (FileNotFoundError("gone"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(
    clock: Clock, exc: Exception, is_tried_again: bool
) -> None:
    assert may_pass(exc) == is_tried_again
    with patience(60.0), pytest.raises(type(exc)):
        failing_until(clock, 1e9, exc)()
    assert bool(clock.slept) == is_tried_again


# -- away for a while ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served_zygote(tmp_path_factory: pytest.TempPathFactory, real_stack: Stack) -> Iterator[Zygote]:
    """Forks commands that use the real servers."""
    folder = tmp_path_factory.mktemp("served")
    environment = {**real_stack.environment(), "OMP_NUM_THREADS": "1"}
    with Zygote.started(folder, environment) as zygote:
        yield zygote


@pytest.fixture
def home(tmp_path: Path, files: Path) -> World:
    """A home for files only: all else is on the servers."""
    world = World(tmp_path / "home", files)
    world.home.mkdir()
    return world


@pytest.mark.service
@pytest.mark.timeout(1500)
def test_s3_mlflow_and_prefect_away_in_turn_cost_a_delay_and_not_the_run(
    served_zygote: Zygote, real_stack: Stack, stack_processes: Processes, home: World
) -> None:
    served = Served(real_stack, "outages")
    served.write_recipe(home)
    run = served_zygote.start(home, "run", RECIPE, **served.environment)
    run.wait_for("snapshot", 200)
    with away(stack_processes, real_stack, "radosgw"):
        run.wait_for("does not answer (EndpointConnectionError)", 200)
        pause(OUTAGE_TEST_S)
    run.wait_for("step 23 of 230", 300)
    with away(stack_processes, real_stack, "mlflow"):
        run.wait_for(f"MLflow at {real_stack.mlflow_url} fails; once more", 300)
        pause(OUTAGE_TEST_S)
    run.wait_for("scoring the challenger", 200)
    with away(stack_processes, real_stack, "prefect"):
        pause(OUTAGE_TEST_S)
    assert run.wait() == 0, run.said
    check_ended(served)


def check_ended(served: Served) -> None:
    found = served.ended()
    assert ended.setdefault("first", found) == found
    assert found["entries"] == [(1, "promote", "1")]
    assert (found["alias"], found["runs"], found["has_report"]) == ("1", ["FINISHED"], True)


# -- away for good ---------------------------------------------------------------------------------


@pytest.mark.service
@pytest.mark.timeout(900)
def test_a_service_that_is_away_for_good_is_named_once_and_a_rerun_ends_the_same(
    served_zygote: Zygote, real_stack: Stack, stack_processes: Processes, home: World
) -> None:
    served = Served(real_stack, "gone")
    served.write_recipe(home)
    tracking = real_stack.mlflow_url.replace("://", f"://ann:{SECRET}@")
    impatient = {**served.environment, "REFIT_OUTAGE_S": "2", "MLFLOW_TRACKING_URI": tracking}
    run = served_zygote.start(home, "run", RECIPE, **impatient)
    run.wait_for("step 23 of 230", 300)
    with away(stack_processes, real_stack, "mlflow"):
        assert run.wait() == Exit.FAULT, run.said
    check_one_error(run.said, f"MLflow at {real_stack.mlflow_url} fails; start it", impatient)

    run = served_zygote.start(home, "run", RECIPE, **impatient)
    run.wait_for("scoring the challenger", 300)
    with away(stack_processes, real_stack, "radosgw"):
        assert run.wait() == Exit.FAULT, run.said
    assert real_stack.s3 is not None
    check_one_error(run.said, f"{real_stack.s3.endpoint} does not answer", impatient)

    with away(stack_processes, real_stack, "prefect"):
        run = served_zygote.start(home, "run", RECIPE, **impatient)
        assert run.wait() == Exit.FAULT, run.said
    check_one_error(run.said, "does not answer (ConnectError); start it", impatient)

    run = served_zygote.start(home, "run", RECIPE, **served.environment)
    assert run.wait() == 0, run.said
    check_ended(served)


def check_one_error(said: str, words: str, environment: dict[str, str]) -> None:
    assert said.count("error: ") == 1, said
    error = said.partition("error: ")[2]
    assert words in error
    assert error.rstrip().endswith("This may pass: run the same command again."), said
    assert "Traceback" not in said
    assert SECRET not in said
    assert environment["AWS_SECRET_ACCESS_KEY"] not in said


# -- killed on the real servers ---------------------------------------------------------------------


@pytest.mark.service
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(KILLS)))
def test_a_promotion_on_the_real_servers_that_is_killed_ends_the_same_when_it_is_run_again(
    served_zygote: Zygote, real_stack: Stack, home: World, number: int
) -> None:
    served = Served(real_stack, f"killed{number}")
    served.write_recipe(home)
    for point in KILLS[number]:
        kill_at = point.format(name=served.name)
        killed = served_zygote.start(home, "run", RECIPE, kill_at=kill_at, **served.environment)
        assert killed.wait() == -9, f"{kill_at} did not come: {killed.said}"
    again = served_zygote.start(home, "run", RECIPE, **served.environment)
    assert again.wait() == 0, again.said
    check_ended(served)


# -- no room ---------------------------------------------------------------------------------------


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    store.write("a", b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.store.os.fsync", full)
    with pytest.raises(DiskFull, match="No space left on device; free space there") as caught:
        store.write("a", b"after")
    assert store.read("a") == b"before"
    assert [p.name for p in (tmp_path / "store" / ".tmp").iterdir()] == []
    message, code = explain_exception(caught.value)
    assert code == Exit.FAULT
    assert "run the same command again: it goes on from what is stored" in message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("left_bytes", [100_000, 700_000])
def test_a_run_that_fills_the_disk_says_so_and_goes_on_when_there_is_room(
    small_disk: Path, start_world: World, zygote: Zygote, left_bytes: int
) -> None:
    world = start_world.copy_to(small_disk / "home")
    used = sum(f.stat().st_blocks * 512 for f in small_disk.rglob("*"))
    resize(small_disk, used + left_bytes)
    run = zygote.start(world, "run", RECIPE)
    assert run.wait() == Exit.FAULT, run.said
    resize(small_disk, 64_000_000)
    assert "The disk is full: free space" in run.said
    again = zygote.start(world, "run", RECIPE)
    assert again.wait() == 0, again.said
    assert world.alias == "2"
    assert len(world.entries) == 2


def resize(disk: Path, size_bytes: int) -> None:
    options = f"remount,size={size_bytes}"
    subprocess.run(["mount", "-o", options, str(disk)], check=True)
