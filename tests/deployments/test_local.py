"""The local stack: it starts, it is reached, and nothing of it is ever left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from deployments.local.postgres import PostgresServer
from deployments.local.processes import Processes, StartError, free_port
from deployments.local.stack import missing_programs
from tests.services import need

# A program that starts another in a session of its own and then hears no SIGTERM.
STUBBORN = ("sh", "-c", "trap '' TERM; setsid sleep {0} & while :; do sleep {0}; done")
PARENT = """
import sys, time
from pathlib import Path
from deployments.local.processes import Processes
with Processes(Path(sys.argv[1])) as processes:
    processes.start("stubborn", sys.argv[2:], grace_s=0.2)
    print("started", flush=True)
    time.sleep(1000)
"""


def marked(mark: str) -> list[psutil.Process]:
    """Running programs with `mark` among their arguments."""
    found = psutil.process_iter(["cmdline", "status"])
    return [
        p for p in found
        if mark in (p.info["cmdline"] or []) and p.info["status"] != psutil.STATUS_ZOMBIE
    ]  # fmt: skip


def wait_until(is_so: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def stubborn(mark: str) -> list[str]:
    return [part.format(mark) for part in STUBBORN]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_starter_is_ended(how: signal.Signals, tmp_path: Path) -> None:
    mark = f"10{int(how):02d}.{time.time_ns()}"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *stubborn(mark)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    wait_until(lambda: len(marked(mark)) == 2)  # the one that ran away too
    parent.send_signal(how)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not marked(mark))


def test_children_end_with_the_block_also_after_an_error(tmp_path: Path) -> None:
    mark = f"1000.{time.time_ns()}"

    def fail() -> None:
        with Processes(tmp_path) as processes:
            processes.start("stubborn", stubborn(mark), grace_s=0.2)
            wait_until(lambda: len(marked(mark)) == 2)
            raise RuntimeError("of the block")

    with pytest.raises(RuntimeError, match="of the block"):
        fail()
    assert marked(mark) == []


def test_a_program_that_ends_early_is_told_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("broken", ["sh", "-c", "echo port in use >&2; exit 3"])
        with pytest.raises(StartError, match=r"broken ended while starting: port in use"):
            processes.wait_ready(child, lambda: False)
        assert child.leash.wait() == 3


def test_a_port_in_use_gives_way_to_another(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


@pytest.mark.service
def test_ctrl_c_while_starting_leaves_nothing(tmp_path: Path) -> None:
    need(missing_programs(is_real=True))
    command = [sys.executable, "-m", "deployments.local"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as started:
        family = psutil.Process(started.pid)
        wait_until(lambda: len(family.children()) >= 3)
        before = family.children(recursive=True)
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 130
    gone, left = psutil.wait_procs(before, timeout=5)
    assert left == []
    assert len(gone) == len(before)


@pytest.mark.service
def test_a_database_is_copied_from_a_template(
    postgres_server: PostgresServer, database: Callable[[str], str]
) -> None:
    template = database("template1")
    _execute(postgres_server, template, "create table facts as select 42 as answer")
    copies = [database(template), database(template)]
    _execute(postgres_server, copies[0], "delete from facts")
    assert [_execute(postgres_server, c, "select count(*) from facts") for c in copies] == [0, 1]


def _execute(server: PostgresServer, name: str, statement: str) -> int | None:
    engine = create_engine(server.url(name))
    try:
        with engine.begin() as connection:
            done = connection.execute(text(statement))
            return int(done.scalar_one()) if done.returns_rows else None
    finally:
        engine.dispose()
