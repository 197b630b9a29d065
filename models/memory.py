"""The memory that this process has held; no torch, for whoever only measures."""

import resource
import sys
from contextlib import suppress
from pathlib import Path


def peak_bytes() -> int:
    """The most that this process held at once, bytes.

    Linux hands `ru_maxrss` on to a child, through fork and exec, so that it may be the peak of the
    process that started this one; VmHWM is of this program alone.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
