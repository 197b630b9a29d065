"""Energy by the processors' own counters where they can be read, else by an estimate that says so."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import meter as meter_module
from tasks.meter import WATTS_PER_CARD, WATTS_PER_CORE, Meter, card_watts, peak_bytes
from tasks.rapl import Rapl

RANGE_UJ = 262_143_328_850
"""Where a package's counter begins again, on the machine that this was read from."""


def zone(folder: Path, number: str, name: str, energy_uj: int) -> None:
    """A zone as the kernel shows it."""
    path = folder / f"intel-rapl:{number}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")


def test_counters_of_packages_and_memory_are_summed_and_may_turn_round(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", RANGE_UJ - 1_000_000)
    zone(tmp_path, "0:0", "core", 5)
    zone(tmp_path, "0:1", "dram", 7)
    zone(tmp_path, "1", "package-1", 0)
    zone(tmp_path, "2", "psys", 0)
    meter = Meter(Rapl(tmp_path))
    start = meter.read()
    zone(tmp_path, "0", "package-0", 35_000_000)  # 36 J, once round
    zone(tmp_path, "0:0", "core", 900_000_000)  # is in its package
    zone(tmp_path, "0:1", "dram", 7 + 3_000_000)
    zone(tmp_path, "1", "package-1", 33_000_000)
    zone(tmp_path, "2", "psys", 900_000_000)  # holds the packages
    spent = meter.since(start, on_cards=False)
    assert spent.energy_wh == pytest.approx(72 / 3600)
    assert spent.energy_method == "measured: RAPL, the whole machine"
    assert spent.gpu_s == 0


def test_without_counters_energy_is_an_estimate_of_processor_seconds(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5)
    zone(tmp_path, "1", "package-1", 5)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()  # a part is no measurement of the whole
    meter = Meter(Rapl(tmp_path))
    start = meter.read()
    sum(range(2_000_000))
    meter.count(300)
    spent = meter.since(start, on_cards=False)
    assert spent.cpu_s > 0
    assert spent.energy_wh == pytest.approx(spent.cpu_s * WATTS_PER_CORE / 3600)
    assert spent.energy_method == "estimate: processor seconds x 12 W"
    assert spent.num_tokens == 300


def test_counters_that_go_away_leave_the_estimate(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 5)
    meter = Meter(Rapl(tmp_path))
    start = meter.read()
    assert start.joules == 0
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert meter.since(start, on_cards=False).energy_method.startswith("estimate: processor")


def test_cards_are_counted_where_models_compute_by_their_power_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 700.00\necho 300.00\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    card_watts.cache_clear()
    monkeypatch.setattr(meter_module, "num_cards", lambda: 2)
    meter = Meter(Rapl(tmp_path))
    start = meter.read()
    spent = meter.since(start, on_cards=True)
    assert spent.gpu_s == pytest.approx(2 * spent.wall_s)
    assert (
        spent.energy_method == "estimate: processor seconds x 12 W + estimate: GPU seconds x 500 W"
    )
    assert spent.energy_wh == pytest.approx((spent.cpu_s * 12 + spent.gpu_s * 500) / 3600)
    assert meter.since(start, on_cards=False).gpu_s == 0

    card_watts.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert card_watts() == WATTS_PER_CARD
    card_watts.cache_clear()


def test_peak_memory_is_that_of_the_largest_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = own + 50_000_000
    subprocess.run(
        [sys.executable, "-c", f"x = bytearray({size}); x[::4096] = b'1' * len(x[::4096])"],
        check=True,
    )
    assert size <= peak_bytes() < 3 * size


def test_peak_memory_is_not_that_of_the_process_that_started_this_one() -> None:
    held = b"1" * 700_000_000
    asked = [sys.executable, "-c", "from tasks.meter import peak_bytes; print(peak_bytes())"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert 10e6 < int(said) < len(held)
