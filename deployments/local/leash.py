"""Holds one program on a leash: whoever started it ends, however that happens, and so does it.

    python leash.py SIGNAL GRACE_S WHOM PROGRAM ARGUMENT...

The leash is standard input: when the other end closes, the program gets SIGNAL, and with WHOM "all"
first what it has started. After GRACE_S seconds each gets SIGKILL, with all that the program has
started, also what ran away into a session of its own.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from types import FrameType

import psutil

PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the program to its end; returns its exit code, or 128 + the signal that ended it."""
    stop_signal, grace_s, is_for_all = int(arguments[0]), float(arguments[1]), arguments[2] == "all"
    # Orphans of the program become children of this process instead of getting lost.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _stay)
    program = subprocess.Popen(arguments[3:], stdin=subprocess.DEVNULL, start_new_session=True)
    pull = (program, stop_signal, grace_s, is_for_all)
    threading.Thread(target=_pull, args=pull, daemon=True).start()
    code = program.wait()
    kill_descendants()
    return code if code >= 0 else 128 - code


def kill_descendants() -> None:
    """SIGKILL to every process below this one, until there is none."""
    while left := psutil.Process().children(recursive=True):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=1)


def _pull(
    program: "subprocess.Popen[bytes]", stop_signal: int, grace_s: float, is_for_all: bool
) -> None:
    while os.read(0, 4096):
        pass
    if is_for_all:
        _ask_started(program.pid, stop_signal, grace_s)
    program.send_signal(stop_signal)
    try:
        program.wait(grace_s)
    except subprocess.TimeoutExpired:
        program.kill()


def _ask_started(program: int, stop_signal: int, grace_s: float) -> None:
    """What the program has started goes first: a worker that ends ends its runs, as they are."""
    started = [p for p in psutil.Process().children(recursive=True) if p.pid != program]
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    psutil.wait_procs(started, timeout=grace_s)


def _stay(number: int, frame: FrameType | None) -> None:
    """Only the leash ends this process; ignoring the signal would be inherited by the program."""


if __name__ == "__main__":
    # Not sys.exit: the reading thread may still wait.
    os._exit(main(sys.argv[1:]))
