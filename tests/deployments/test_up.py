"""`refit up`: one command, three links, a deployed recipe, and nothing left after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.terminal import ROOT

pytestmark = pytest.mark.slow

RECIPE = {"name": "tiny", "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8}}


def read_until(log: Path, words: str, process: "subprocess.Popen[bytes]") -> str:
    """What was printed, as soon as it holds `words`."""
    deadline = time.monotonic() + 180
    while words not in (said := log.read_text("utf-8")):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    return said


def test_up_serves_its_links_deploys_the_folder_and_ends_whole(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE), "utf-8")
    command = ["refit", "up", ".", "--prefect-port", "0", "--mlflow-port", "0"][1:]
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("REFIT_", "PREFECT_"))}
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.cli", *command],
            cwd=tmp_path, stdout=out, stderr=out,
            env={**outer, "REFIT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        said = read_until(log, "Ctrl-C ends", process)
        prefect, mlflow = re.findall(r"http://127\.0\.0\.1:\d+", said)[:2]
        for name in ("retrain/tiny-local", "reconcile/local", "reap/local"):
            assert httpx.get(f"{prefect}/api/deployments/name/{name}").status_code == 200
        assert httpx.get(prefect, follow_redirects=True).status_code == 200
        assert httpx.get(mlflow).status_code == 200
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 6
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_up_tells_every_mistake_of_the_folder_before_it_starts_anything(tmp_path: Path) -> None:
    for name, text in {"a": "name: x", "b": "gate: 5"}.items():
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "up", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "REFIT_HOME": str(tmp_path / "home")}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 2
    for words in ("a.yaml has", "b.yaml has", "data: is required"):
        assert words in done.stderr
    assert not (tmp_path / "home" / "prefect").exists()
