"""Does reading stay flat? Rows per second and peak memory of 50,000 and of 5,000,000 csv rows.

    python -m benchmarks.stream_memory [small large]

Each file is read in a process of its own, so that its peak is its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data_checks.config import DataConfig
from data_checks.parse import read_rows

SIZES = (50_000, 5_000_000)
ROW = '"Row {i}: the battery is strong, but the screen is dim,\nso back it goes.",{label}\n'


def main() -> None:
    """Write, read and compare both files."""
    sizes = tuple(int(size) for size in sys.argv[1:]) or SIZES
    peaks = []
    print(f"{'rows':>10} {'MB':>7} {'rows/s':>9} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.csv"
            write_file(path, size)
            num_rows, wall_s, peak_mb = in_a_child(path)
            assert num_rows == size
            peaks.append(peak_mb)
            megabytes = path.stat().st_size / 1e6
            print(f"{num_rows:>10,} {megabytes:>7.1f} {num_rows / wall_s:>9,.0f} {peak_mb:>8.1f}")
            path.unlink()
    print(f"peak memory, {sizes[-1]:,} rows to {sizes[0]:,}: {peaks[-1] / peaks[0]:.3f} times")


def write_file(path: Path, num_rows: int) -> None:
    """A csv file with a newline inside each text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("text,label\n")
        file.writelines(ROW.format(i=i, label=i % 2) for i in range(num_rows))


def in_a_child(path: Path) -> tuple[int, float, float]:
    """Rows, seconds and peak resident memory (MB) of reading the file in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.stream_memory", "--read", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(output[0]), float(output[1]), float(output[2])


def read(path: Path) -> None:
    """Read the file and print what `in_a_child` returns."""
    start = time.perf_counter()
    rows = read_rows(path, DataConfig(source=str(path)), name=path.name, split=None)
    num_rows = sum(1 for _ in rows)
    wall_s = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    print(num_rows, wall_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]))
    else:
        main()
