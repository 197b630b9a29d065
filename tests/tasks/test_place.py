"""Where things are kept: scratch folders go with their process, however it dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tasks.place import Place
from tests.terminal import ROOT

DIES = """
import os, signal, sys
from tasks.place import Place
with Place(home=sys.argv[1], store_uri="s", tracking_uri="t").scratch() as folder:
    (folder / "weights").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def place(home: Path) -> Place:
    return Place(home=str(home), store_uri=f"{home}/store", tracking_uri="sqlite:///unused")


def test_a_scratch_folder_is_empty_and_gone_at_the_end(tmp_path: Path) -> None:
    with place(tmp_path).scratch() as outer:
        (outer / "kept").touch()
        with place(tmp_path).scratch() as inner:
            assert inner != outer
            assert list(inner.iterdir()) == []
        assert not inner.exists()
        assert (outer / "kept").exists(), "who lives keeps it, also from its own process"
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_scratch_folder(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = Path(died.stdout.strip())
    assert os.listdir(left) == ["weights"]
    with place(tmp_path).scratch():
        assert not left.exists()
    assert list((tmp_path / "cache").iterdir()) == []
