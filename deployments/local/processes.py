"""Children that cannot be left behind: started, waited for and ended together."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

LEASH = Path(__file__).with_name("leash.py")
READY_LIMIT_S = 90.0
LOOK_S = 0.05
LOG_TAIL_CHARS = 2000


class StartError(RuntimeError):
    """A program is missing, ended early or did not get ready; the message ends with its log."""


class Child:
    """One running program on its leash."""

    def __init__(
        self,
        name: str,
        log_path: Path,
        leash: "subprocess.Popen[bytes]",
        again: "Callable[[], Child]",
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.leash = leash
        self.again = again
        """Starts the same program once more, with the same arguments; it is not waited for."""

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self.leash.poll() is None

    def let_go(self) -> None:
        """Ask the program to end; returns at once."""
        assert self.leash.stdin is not None
        self.leash.stdin.close()

    def stop(self) -> None:
        """Ask the program to end, and wait until nothing of it is left."""
        self.let_go()
        self.leash.wait()

    def kill(self) -> None:
        """SIGKILL the program itself, as a crash would; what it started is ended too."""
        import psutil

        for process in psutil.Process(self.leash.pid).children():
            process.kill()
        self.leash.wait()

    def log_tail(self) -> str:
        """The end of what it printed."""
        return self.log_path.read_text("utf-8", "replace")[-LOG_TAIL_CHARS:]


class Processes:
    """The children of one stack. Leaving the block ends them all, the latest first.

    Threads may start children side by side; once one has failed, the others stop waiting.
    """

    def __init__(self, folder: Path) -> None:
        self.log_folder = folder / "log"
        self.children: list[Child] = []
        self.afterwards = ExitStack()
        """Closed when all children have ended."""
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10.0,
        is_for_all: bool = False,
    ) -> Child:
        """Start a program; it hears no Ctrl-C of this terminal, only its leash.

        Args:
            name: of its log.
            command: program and arguments.
            environment: absent: this process's own.
            stop_signal: what asks it to end.
            grace_s: seconds until SIGKILL.
            is_for_all: whether what the program has started gets `stop_signal` first.

        Raises:
            StartError: the stack is closing.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        log_path = self.log_folder / f"{name}.log"
        whom = "all" if is_for_all else "program"
        leash = (sys.executable, "-I", str(LEASH), str(int(stop_signal)), str(grace_s), whom)
        with self._lock, log_path.open("ab") as log:
            if self._closing.is_set():
                raise StartError(f"{name} is not started: the stack is closing")
            process = subprocess.Popen(
                (*leash, *command), stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=None if environment is None else dict(environment), start_new_session=True,
            )  # fmt: skip
            again = partial(
                self.start, name, command, environment=environment, stop_signal=stop_signal,
                grace_s=grace_s, is_for_all=is_for_all,
            )  # fmt: skip
            child = Child(name, log_path, process, again)
            self.children.append(child)
        return child

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a program to its end; `close` ends it early.

        Raises:
            StartError: it failed or took too long; with its log, never with its arguments, which
                may hold a secret.
        """
        child = self.start(name, command, stop_signal=signal.SIGKILL)
        try:
            code = child.leash.wait(READY_LIMIT_S)
        except subprocess.TimeoutExpired as exc:
            child.stop()
            raise StartError(f"{name} did not end in {READY_LIMIT_S:g} s") from exc
        child.let_go()
        with self._lock:
            if child in self.children:
                self.children.remove(child)
        if code:
            raise StartError(f"{name} failed ({code}): {child.log_tail()}")

    def wait_ready(
        self, child: Child, is_ready: Callable[[], bool], limit_s: float = READY_LIMIT_S
    ) -> None:
        """Return when `is_ready` says so.

        Raises:
            StartError: the program ended, the limit passed, or the stack is closing.
        """
        deadline = time.monotonic() + limit_s
        while not is_ready():
            if not child.is_running:
                raise StartError(f"{child.name} ended while starting: {child.log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{child.name} is not ready in {limit_s:g} s: {child.log_tail()}")
            if self._closing.wait(LOOK_S):
                raise StartError(f"{child.name} is no longer waited for: the stack is closing")

    def close(self) -> None:
        """End all children; harmless when called again."""
        self._closing.set()
        with self._lock:
            children, self.children = self.children[::-1], []
        for child in children:
            child.stop()
        self.afterwards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def free_ports(num_ports: int) -> list[int]:
    """Ports of the loopback that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_ports)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody uses it, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return free_ports(1)[0]
        return int(probe.getsockname()[1])


def answers(port: int, path: str = "/") -> bool:
    """Whether an HTTP server on the loopback answers without an error of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
