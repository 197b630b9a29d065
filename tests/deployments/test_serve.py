"""refit serve: answers by the ledger's champion, and goes on answering while it changes."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient

import deployments.serve
from deployments.exits import UsageError
from deployments.local.processes import answers, free_port
from deployments.serve import MAX_TEXTS, WARM_UP, Throne, make_app, serve
from models.predict import Classifier
from tasks.changes import override, retire, roll_back
from tests.terminal import ROOT
from tests.waiting import wait_for
from tests.world import NAME, World, flip_byte

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

TEXTS = ["the thing1 number 1 is good", "the thing2 number 2 is awful"]
NUM_REQUESTS = 2000
NUM_MOVES = 10
NUM_CLIENTS = 4


@pytest.fixture
def throne(promoted: World) -> Throne:
    found = Throne(promoted.place, NAME)
    found.look()
    return found


@contextmanager
def listening(throne: Throne) -> Iterator[str]:
    """A real server on a free port."""
    config = uvicorn.Config(make_app(throne), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: object = None) -> None:
        await startup()
        ready.set()

    server.startup = started  # type: ignore[method-assign,assignment]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(60)
        port = server.servers[0].sockets[0].getsockname()[1]
        with throne.watched(0.02):
            yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def move(world: World) -> str:
    """Change the champion; returns the version that it has from now on."""
    live, second = world.entries[-1], world.entries[1]
    if live.version == second.version:
        entry = roll_back(world.place, NAME, to_version="1", actor="ann", reason="test")
    else:
        decision = second.decision_digest
        entry = override(world.place, NAME, decision, actor="ann", reason="test")
    return entry.version


def test_no_request_fails_and_none_is_mixed_while_the_champion_moves_ten_times(
    promoted: World, throne: Throne
) -> None:
    expected = {
        entry.model_digest: Classifier.load(promoted.path(entry.model_uri)).probabilities(TEXTS)[0]
        for entry in promoted.entries
    }
    counter, moved, failures = itertools.count(1), threading.Event(), []
    seen: set[tuple[str, str]] = set()

    def ask(url: str) -> int:
        with httpx.Client(timeout=60) as client:
            while (number := next(counter)) <= NUM_REQUESTS or not moved.is_set():
                answer = client.post(f"{url}/predict", json={"texts": TEXTS})
                if problem := mixed(answer, expected):
                    failures.append(problem)
                seen.add((answer.headers["x-refit-version"], answer.headers["x-refit-digest"]))
            return number

    def change(url: str) -> None:
        with httpx.Client(timeout=60) as client:
            for _ in range(NUM_MOVES):
                version = move(promoted)
                while client.get(f"{url}/health").json()["version"] != version:
                    pass
        moved.set()

    with listening(throne) as url, ThreadPoolExecutor(NUM_CLIENTS + 1) as pool:
        clients = [pool.submit(ask, url) for _ in range(NUM_CLIENTS)]
        pool.submit(change, url).result(300)
        assert max(client.result(300) for client in clients) >= NUM_REQUESTS
    assert failures == []
    assert len(seen) == 2, seen
    assert len(promoted.entries) == 2 + NUM_MOVES


def test_the_command_answers_by_the_new_champion_and_ends_on_sigterm(
    promoted: World, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "deployments.cli", "serve", NAME, "--port", str(port)]
    environment = {**os.environ, "REFIT_HOME": str(promoted.home), "OMP_NUM_THREADS": "1"}
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [*command, "--every", "0.1"], cwd=ROOT, env=environment, stdout=out, stderr=out
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        try:
            wait_for(lambda: process.poll() is not None or answers(port, "/health"))
            first = client.post("/predict", json={"texts": TEXTS})
            version = move(promoted)
            wait_for(lambda: client.get("/health").json()["version"] == version)
            second = client.post("/predict", json={"texts": TEXTS})
        finally:
            process.terminate()
        assert process.wait(120) == 0, log.read_text("utf-8")
    assert [first.headers["x-refit-version"], second.headers["x-refit-version"]] == ["2", version]
    assert version == "1"
    digests = [entry.model_digest for entry in promoted.entries[1:]]
    assert [found.headers["x-refit-digest"] for found in (first, second)] == digests


def test_a_new_champion_is_asked_once_before_it_answers_anybody(
    promoted: World, throne: Throne, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Recorded:
        """Notes what it is asked, and who answers others meanwhile."""

        def predict(self, texts: tuple[str, ...]) -> list[dict[str, str]]:
            asked.append((texts, throne.live and throne.live.entry.version))
            return [{} for _ in texts]

    recorded = SimpleNamespace(predictor=lambda folder: Recorded())
    monkeypatch.setattr(deployments.serve, "task_code", lambda task: recorded)
    version = move(promoted)
    throne.look()
    assert asked == [(WARM_UP, "2")]
    assert throne.live is not None
    assert isinstance(throne.live.predictor, Recorded)
    assert throne.live.entry.version == version


def mixed(answer: httpx.Response, expected: dict[str, np.ndarray]) -> str:
    """What is wrong with an answer; empty: it is wholly one model's."""
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    body, digest = answer.json(), answer.headers["x-refit-digest"]
    scores = [found["score"] for found in body["answers"]]
    if not np.allclose(scores, expected[digest].max(axis=1), atol=1e-6):
        return f"{digest[:8]} answered {scores}"
    told = (body["version"], body["model_digest"])
    return "" if told == (answer.headers["x-refit-version"], digest) else f"says it is {told}"


def test_health_names_version_and_digest(promoted: World, throne: Throne) -> None:
    with TestClient(make_app(throne)) as client:
        found = client.get("/health").json()
    assert (found["status"], found["version"]) == ("ok", "2")
    assert found["model_digest"] == promoted.entries[-1].model_digest


def test_no_two_requests_are_in_one_predictor_at_once(throne: Throne) -> None:
    """A tokenizer and a chat model keep state from call to call."""
    assert throne.live is not None
    predictor, inside, most = throne.live.predictor, [], []

    class Counted:
        def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
            inside.append(texts)
            most.append(len(inside))
            time.sleep(0.05)
            found = predictor.predict(texts)
            inside.pop()
            return list(found)

    throne.live = throne.live._replace(predictor=Counted())
    with TestClient(make_app(throne)) as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, "/predict", json={"texts": TEXTS}) for _ in range(16)]
        assert {one.result().status_code for one in asked} == {200}
    assert max(most) == 1


@pytest.mark.parametrize(
    ("payload", "place", "problem"),
    [
        ({}, ["body", "texts"], "Field required"),
        ({"texts": []}, ["body", "texts"], "at least 1 item"),
        ({"texts": ["a"] * (MAX_TEXTS + 1)}, ["body", "texts"], f"at most {MAX_TEXTS} items"),
        ({"texts": ["a", 5]}, ["body", "texts", 1], "valid string"),
        ({"texts": ["\ud800"]}, ["body", "texts", 0], "unicode string"),
        ({"texts": ["a"], "text": "b"}, ["body", "text"], "not permitted"),
    ],
)
def test_a_wrong_payload_is_refused_and_the_mistake_is_named(
    throne: Throne, payload: object, place: list[object], problem: str
) -> None:
    with TestClient(make_app(throne)) as client:
        answer = client.post(
            "/predict",
            content=json.dumps(payload),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 422
    (found,) = answer.json()["detail"]
    assert found["loc"] == place
    assert problem in found["msg"]


def test_a_password_is_asked_for_and_needed_beyond_the_loopback(throne: Throne) -> None:
    question = {"texts": ["good"]}
    with TestClient(make_app(throne, "secret")) as client:
        answers = [
            client.post("/predict", json=question, auth=auth).status_code
            for auth in (None, ("ann", "wrong"), ("ann", "secret"))
        ]
        assert client.get("/health").status_code == 200
    assert answers == [401, 401, 200]
    with pytest.raises(UsageError, match="REFIT_SERVE_PASSWORD"):
        serve(throne.place, NAME, host="0.0.0.0", port=0, every_s=1, password="")


def test_a_broken_champion_does_not_take_over(promoted: World, throne: Throne) -> None:
    entry = promoted.entries[0]
    flip_byte(promoted.path(f"{entry.model_uri}/model.safetensors"))
    move(promoted)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        throne.look()
    assert throne.live is not None
    assert throne.live.entry.version == "2"


def test_a_retired_model_answers_503(promoted: World, throne: Throne) -> None:
    retire(promoted.place, NAME, actor="ann", reason="gone")
    throne.look()
    with TestClient(make_app(throne)) as client:
        answers = [client.get("/health"), client.post("/predict", json={"texts": ["a"]})]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "no champion" in answers[1].text
