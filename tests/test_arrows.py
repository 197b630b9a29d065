"""The arrows between the rooms, executed."""

import re
import subprocess
import sys
from pathlib import Path

from tests.consumer import WITHOUT_ROOMS

ROOT = Path(__file__).parents[1]
ROOMS = ("records", "models", "data_checks", "report", "tasks", "flows", "deployments")


def test_rooms_open_only_the_doors_of_the_design() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_settings_reads_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "os.environ" in (text := path.read_text("utf-8")) or "os.getenv" in text
    }
    assert readers == {"flows/settings.py"}


def test_no_room_knows_of_tests_or_of_faults_made_on_purpose() -> None:
    """Failure injection wraps the adapters from tests/faults/points.py; switched off, it is not there."""
    known = re.compile(
        r"^\s*(from|import) tests\b|import_module\(.tests\b|REFIT_FAULTS|kill_at", re.M
    )
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    found = [str(path) for path in files if known.search(path.read_text("utf-8"))]
    assert found == []


def test_the_consumer_of_the_tests_has_no_room_though_its_environment_has_them_all(
    tmp_path: Path,
) -> None:
    asked = f"""
import importlib
found = []
for room in {ROOMS}:
    try:
        importlib.import_module(room)
        found.append(room)
    except ModuleNotFoundError:
        pass
print(*found)
"""
    said = [
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True,
                       text=True, check=True).stdout.split()
        for script in (asked, WITHOUT_ROOMS + asked)
    ]  # fmt: skip
    assert said == [list(ROOMS), []]
