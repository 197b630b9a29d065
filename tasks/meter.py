"""What this process takes: the clock, its processor time and its children's, tokens, energy.

No library does this for us: codecarbon 3 and zeus bring dozens of packages for two numbers, and ask
the network; pyRAPL and pyJoules are no longer kept.
"""

import functools
import resource
import subprocess
import time

from models import memory
from models.device import num_cards
from records.base import Record
from records.cost import Spent
from tasks.rapl import Rapl

WATTS_PER_CORE, WATTS_PER_CARD = 12.0, 200.0
"""Under load, of hardware that nothing is known of; servers with many cores draw less for each.

Source: Lannelongue et al. 2021, Green Algorithms, "Any" in its tables TDP_cpu.csv and TDP_gpu.csv.
"""


class Reading(Record):
    """Where the counters of this process stand; only differences of two mean something."""

    wall_s: float
    cpu_s: float
    num_tokens: int
    joules: float | None
    """Of the whole machine's processors; None: nothing measures them."""


class Meter:
    """Reads the counters of this process, and of the machine."""

    def __init__(self, rapl: Rapl) -> None:
        self._rapl = rapl
        self._num_tokens = 0

    def count(self, num_tokens: int) -> None:
        """So many more tokens were trained on."""
        self._num_tokens += num_tokens

    def read(self) -> Reading:
        """How the counters stand now."""
        return Reading(
            wall_s=time.monotonic(),
            cpu_s=_cpu_s(),
            num_tokens=self._num_tokens,
            joules=self._rapl.joules(),
        )

    def since(self, start: Reading, *, on_cards: bool) -> Spent:
        """What was taken since a reading.

        Args:
            start: of this meter.
            on_cards: whether models computed, which they do on CUDA cards where there are any.
        """
        now = self.read()
        wall_s, cpu_s = now.wall_s - start.wall_s, now.cpu_s - start.cpu_s
        if now.joules is None or start.joules is None:
            joules, method = cpu_s * WATTS_PER_CORE, _estimate("processor", WATTS_PER_CORE)
        else:
            joules, method = now.joules - start.joules, "measured: RAPL, the whole machine"
        gpu_s = wall_s * num_cards() if on_cards else 0.0
        if gpu_s:
            watts = card_watts()
            joules += gpu_s * watts
            method += f" + {_estimate('GPU', watts)}"
        return Spent(
            wall_s=wall_s,
            cpu_s=cpu_s,
            gpu_s=gpu_s,
            num_tokens=now.num_tokens - start.num_tokens,
            energy_wh=joules / 3600,
            energy_method=method,
        )


@functools.cache
def meter() -> Meter:
    """The one of this process."""
    rapl = Rapl()
    rapl.keep_looking()
    return Meter(rapl)


def peak_bytes() -> int:
    """The most that this process, or one child that has ended, held at once."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(memory.peak_bytes(), children * 1024)


@functools.cache
def card_watts() -> float:
    """The mean power limit of the cards, by the driver; WATTS_PER_CARD where it does not say."""
    asked = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
        limits = [float(line) for line in said.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return WATTS_PER_CARD
    return sum(limits) / len(limits) if limits else WATTS_PER_CARD


def _cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _estimate(what: str, watts: float) -> str:
    return f"estimate: {what} seconds x {watts:g} W"
