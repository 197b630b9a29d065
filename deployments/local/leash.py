"""Holds one program on a leash: whoever started it ends, however that happens, and so does it.

    python leash.py SIGNAL GRACE_S PROGRAM ARGUMENT...

The leash is standard input: when the other end closes, the program gets SIGNAL, and after GRACE_S
seconds SIGKILL, with all that it has started, also what ran away into a session of its own.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

import psutil

PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the program to its end; returns its exit code, or 128 + the signal that ended it."""
    stop_signal, grace_s, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    # Orphans of the program become children of this process instead of getting lost.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _stay)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_pull, args=(program, stop_signal, grace_s), daemon=True).start()
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


def _pull(program: "subprocess.Popen[bytes]", stop_signal: int, grace_s: float) -> None:
    while os.read(0, 4096):
        pass
    program.send_signal(stop_signal)
    try:
        program.wait(grace_s)
    except subprocess.TimeoutExpired:
        program.kill()


def _stay(number: int, frame: FrameType | None) -> None:
    """Only the leash ends this process; ignoring the signal would be inherited by the program."""


if __name__ == "__main__":
    # Not sys.exit: the reading thread may still wait.
    os._exit(main(sys.argv[1:]))
