"""The arrows between the rooms, executed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_rooms_open_only_the_doors_of_the_design() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_settings_reads_the_environment() -> None:
    rooms = ("records", "models", "data_checks", "report", "tasks", "flows", "deployments")
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if "os.environ" in (text := path.read_text("utf-8")) or "os.getenv" in text
    }
    assert readers == {"flows/settings.py"}
