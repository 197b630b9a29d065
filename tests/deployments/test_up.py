"""`refit up`: one command, three links, a live screen, and nothing left after Ctrl-C."""

import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from deployments.local.stack import missing_programs
from tests.services import need
from tests.terminal import ROOT
from tests.waiting import wait_for
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECIPE = {"name": "tiny", "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8}}
LONG = "train.epochs=40"
"""A training of some ten seconds, so that it can be ended half way."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Up:
    """A running `refit up`, and the terminal that it writes to."""

    process: "subprocess.Popen[bytes]"
    written: list[bytes] = field(default_factory=list)

    @property
    def said(self) -> str:
        """All that was ever on the screen, without colours and moves of the cursor."""
        return ESCAPES.sub("", b"".join(self.written).decode("utf-8", "replace"))

    def read_until(self, words: str) -> str:
        """What was written, as soon as it holds `words`."""

        def found() -> bool:
            assert self.process.poll() is None, self.said[-3000:]
            return words in self.said

        wait_for(found)
        return self.said

    @property
    def links(self) -> tuple[str, str, str]:
        """Prefect, MLflow and store, as they are printed."""
        found = re.findall(r"^(?:Prefect|MLflow|store) +(\S+)", self.said, re.M)
        prefect, mlflow, store = found
        return prefect, mlflow, store

    def end(self) -> tuple[int, list[psutil.Process]]:
        """Ctrl-C: the exit code, and what is left of all that the command had started."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        assert len(family) >= 6
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120), psutil.wait_procs(family, timeout=10)[1]


@contextmanager
def refit_up(folder: Path, *flags: str) -> Iterator[Up]:
    """The command on a terminal of its own, on free ports, with the recipes of the folder."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("REFIT_", "PREFECT_"))}
    own = {"REFIT_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    wide = {"COLUMNS": "250", "LINES": "60"}
    command = [sys.executable, "-m", "deployments.cli", "up", str(folder), *flags]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*command, "--prefect-port", "0", "--mlflow-port", "0"],
        cwd=folder, stdin=slave, stdout=slave, stderr=slave, env={**outer, **own, **wide},
    )  # fmt: skip
    os.close(slave)
    up = Up(process)
    reader = threading.Thread(target=read_all, args=(master, up.written.append))
    reader.start()
    try:
        yield up
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(120)
        reader.join()
        os.close(master)


def read_all(terminal: int, keep: Callable[[bytes], None]) -> None:
    """Read until nobody writes to it any more, which a terminal tells by an error."""
    try:
        while content := os.read(terminal, 65536):
            keep(content)
    except OSError:
        return


def assert_links_open(up: Up) -> None:
    """As a browser opens them: for other clients Prefect has no such pages."""
    for link in up.links[:2]:
        page = httpx.get(link, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
        assert (page.status_code, "<html" in page.text) == (200, True), link


def asked(api: str, path: str, **body: Any) -> Any:
    """As Prefect's clients ask: its SQLite says 503 while another writes, and is asked again."""
    for _ in range(10):
        answer = httpx.post(f"{api}/{path}", json=body, timeout=60)
        if answer.status_code != 503:
            break
        time.sleep(1)
    return answer.raise_for_status().json()


@pytest.mark.parametrize(
    ("flags", "store"),
    [
        ((), "{home}/store"),
        pytest.param(("--real",), "s3://refit/store", marks=pytest.mark.service),
    ],
)
def test_up_serves_its_links_deploys_the_folder_and_ends_whole(
    flags: tuple[str, ...], store: str, tmp_path: Path
) -> None:
    need(missing_programs(is_real=bool(flags)))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE), "utf-8")
    with refit_up(tmp_path, *flags) as up:
        up.read_until("Ctrl-C ends")
        assert_links_open(up)
        assert up.links[2] == store.format(home=tmp_path / "home")
        api = up.links[0].replace("/v2/deployments", "/api")
        for name in ("retrain/tiny-local", "reconcile/local", "reap/local"):
            assert httpx.get(f"{api}/deployments/name/{name}", timeout=60).status_code == 200
        assert up.end() == (0, [])


def test_up_shows_a_training_ctrl_c_ends_it_whole_and_a_rerun_goes_on(
    tmp_path: Path, files: Path, prefect_server: None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path / "home", files)
    recipe = world.first_recipe().model_copy(update={"train": world.recipe(LONG).train})
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values), "utf-8")
    with refit_up(tmp_path) as up:
        up.read_until("Ctrl-C ends")
        assert_links_open(up)
        prefect, _, store = up.links
        assert store == str(tmp_path / "home" / "store")
        api = prefect.replace("/v2/deployments", "/api")
        deployment = httpx.get(f"{api}/deployments/name/retrain/tiny-local").json()["id"]
        asked(api, f"deployments/{deployment}/create_flow_run")
        bars = {"type": {"any_": ["progress"]}}
        wait_for(lambda: [a for a in asked(api, "artifacts/filter", artifacts=bars) if a["data"]])
        row = up.read_until("fine-tune the challenger").partition("fine-tune the challenger")[0]
        assert re.search(r"retrain tiny +Running +\d\d:\d\d:\d\d +$", row)
        assert up.end() == (0, [])
    log = (tmp_path / "home" / "log" / "worker.log").read_text("utf-8")
    assert "SIGTERM ended the training after step" in log
    with caplog.at_level(logging.INFO, "refit"):
        assert world.run(recipe).outcome == "promoted"
    assert "going on from the checkpoint of step" in caplog.text


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
