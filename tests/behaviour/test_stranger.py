"""Somebody with MLflow, curl and the guide: no import, no environment and no word of refit."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.local.processes import Processes, answers, free_port
from tests.documented import commands
from tests.world import World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

READY_S = 300.0


@pytest.fixture(scope="module")
def port(promoted_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `mlflow models serve` answers, started by the guide's command."""
    folder, port = tmp_path_factory.mktemp("stranger"), str(free_port())
    replaced = {"reviews": "tiny", "5001": port}
    command = shlex.split(commands("lookup.md", "serve", **replaced))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder),
        "MLFLOW_TRACKING_URI": promoted_world.place.tracking_uri, "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with Processes(folder) as processes:
        child = processes.start("serve", command, environment=environment)
        processes.wait_ready(child, lambda: answers(int(port), "/ping"), READY_S)
        yield port


def curl(script: str) -> tuple[int, Any]:
    """Status and body of the guide's request."""
    asked = ["sh", "-euc", f"{script.strip()} -w '\\n%{{http_code}}'"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_curl_gets_an_answer_for_each_text(port: str) -> None:
    texts = {
        "Not what I hoped for.": "the thing7 number 7 is awful",
        "Works like a charm.": "the thing8 number 8 is lovely",
        "5001": port,
    }
    status, body = curl(commands("lookup.md", "ask", **texts))
    assert status == 200
    assert [answer["label"] for answer in body["predictions"]] == ["negative", "positive"]
    assert all(0.5 < answer["score"] <= 1 for answer in body["predictions"])


def test_curl_with_a_wrong_payload_is_refused_and_told_what_to_send(port: str) -> None:
    status, body = curl(commands("lookup.md", "mistake", **{"5001": port}))
    assert status == 400
    assert "inputs" in json.dumps(body)
    assert "Traceback" not in json.dumps(body)
