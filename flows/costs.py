"""What each step of the flow costs."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from records.document import StepCost


class Costs:
    """Collects a StepCost per `with costs.step(name)`; children count once they have ended."""

    def __init__(self) -> None:
        self._steps: list[StepCost] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure wall seconds, processor seconds and peak resident memory of a step."""
        started, cpu = time.monotonic(), _cpu_s()
        try:
            yield
        finally:
            self._steps.append(
                StepCost(
                    step=name,
                    wall_s=time.monotonic() - started,
                    cpu_s=_cpu_s() - cpu,
                    peak_memory_bytes=_peak_bytes(),
                )
            )

    def steps(self) -> tuple[StepCost, ...]:
        """What was measured so far, in order."""
        return tuple(self._steps)


def _cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
