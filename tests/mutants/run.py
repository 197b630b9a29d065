"""Break the gate and the ledger on purpose, one line at a time: `python -m tests.mutants.run`.

Each patch is applied in a copy of the tree and its tests must fail. Ends with a table, and with 1
where a mutant survives, a patch does not apply or its tests cannot run. Words as arguments choose
the patches whose names hold one of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.patches import PATCHES, Patch

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("records", "models", "tasks", "flows", "tests", "pyproject.toml")
TIMEOUT_S = 300
CAUGHT = "caught"
SURVIVED = "SURVIVED"


def main(words: Sequence[str]) -> int:
    """Try the chosen patches, print a table, and return the exit code."""
    chosen = [p for p in PATCHES if not words or any(word in p.name for word in words)]
    console, table = Console(), Table("mutant", "file", "outcome", "s", title="Mutants")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        if failing := already_failing(tree, chosen):
            console.print(f"these tests fail without any mutant: {', '.join(failing)}")
            return 1
        for number, patch in enumerate(chosen, 1):
            start = time.monotonic()
            outcomes.append(try_patch(tree, patch))
            wall_s = f"{time.monotonic() - start:.1f}"
            console.print(f"{number}/{len(chosen)} {patch.name}: {outcomes[-1]} ({wall_s} s)")
            table.add_row(patch.name, patch.file, outcomes[-1], wall_s)
    console.print(table)
    num_caught = outcomes.count(CAUGHT)
    console.print(f"{num_caught} of {len(chosen)} mutants caught")
    return 0 if chosen and num_caught == len(chosen) else 1


def copy_tree(folder: Path) -> Path:
    """What the tests need, without byte code: a stale cache could hide a mutant."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)
    return folder


def already_failing(tree: Path, patches: Sequence[Patch]) -> list[str]:
    """Test files whose selected tests do not pass as they are: they would catch anything."""
    selected: dict[tuple[str, ...], set[str]] = {}
    for patch in patches:
        selected.setdefault(patch.tests, set()).add(f"({patch.select})")
    passed = {
        tests: run_tests(tree, tests, " or ".join(sorted(words))) == SURVIVED
        for tests, words in selected.items()
    }
    return [file for tests, is_passed in passed.items() if not is_passed for file in tests]


def try_patch(tree: Path, patch: Patch) -> str:
    """Apply, test, restore; `caught`, or what went wrong."""
    file = tree / patch.file
    original = file.read_text(encoding="utf-8")
    if original.count(patch.old) != 1:
        return f"does not apply: {original.count(patch.old)} places"
    file.write_text(original.replace(patch.old, patch.new), encoding="utf-8")
    try:
        return run_tests(tree, patch.tests, patch.select)
    finally:
        file.write_text(original, encoding="utf-8")


def run_tests(tree: Path, tests: Sequence[str], select: str) -> str:
    """Run the selected tests up to the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"]
    command += [*tests, "-k", select]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {TIMEOUT_S} s"
    if done.returncode == 1 and "failed" in done.stdout:
        return CAUGHT
    return SURVIVED if done.returncode == 0 else f"tests did not run ({done.returncode})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
