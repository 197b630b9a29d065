"""What the processors of this machine have drawn, by their own counters.

Source: Linux, Documentation/power/powercap: microjoules in `energy_uj` that begin again at
`max_energy_range_uj`, after minutes under load. AMD's have the same names. Since 2020 only root may
read them unless the machine's owner says otherwise.
"""

import threading
from pathlib import Path

FOLDER = Path("/sys/class/powercap")
LOOK_EVERY_S = 30.0


class Rapl:
    """Joules of all packages, and of the memory where it has a counter of its own, since this was made.

    Args:
        folder: with the zones `intel-rapl:0`, `intel-rapl:0:1`, ...
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._joules = 0.0
        self._lock = threading.Lock()
        self._last_uj: dict[Path, int] = {}
        for zone in sorted(folder.glob("intel-rapl:*")):
            try:
                kind = (zone / "name").read_text().strip()
                if kind.startswith("package") or kind == "dram":
                    self._last_uj[zone] = _number(zone / "energy_uj")
            except (OSError, ValueError):
                self._last_uj = {}  # a part is no measurement of the whole
                break

    def joules(self) -> float | None:
        """Since the start; None where the counters cannot be read, now or before."""
        with self._lock:
            try:
                for zone, before in self._last_uj.items():
                    now = _number(zone / "energy_uj")
                    turn = _number(zone / "max_energy_range_uj") if now < before else 0
                    self._joules += (now - before + turn) / 1e6
                    self._last_uj[zone] = now
            except (OSError, ValueError):
                self._last_uj = {}
            return self._joules if self._last_uj else None

    def keep_looking(self) -> None:
        """Look from time to time, so that no counter turns round twice between two questions."""
        if self._last_uj:
            threading.Thread(target=self._look, name="rapl", daemon=True).start()

    def _look(self) -> None:
        pause = threading.Event()
        while self.joules() is not None:
            pause.wait(LOOK_EVERY_S)


def _number(path: Path) -> int:
    return int(path.read_text())
