"""Who needs the model needs MLflow, transformers and torch, and nothing of this project."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.processes import Processes, free_port
from deployments.local.servers import start_mlflow
from flows import retrain
from flows.settings import clean_environment
from tests.documented import commands
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
TEXTS = [
    "the thing7 number 7 is lovely", "the thing8 number 8 is broken", "good", "poor " * 200,
]  # fmt: skip
UNREACHABLE = (
    "No matching distribution found", "Could not find a version", "Failed to establish",
    "Max retries exceeded",
)  # fmt: skip
# The last text is longer than the model's positions. pyfunc and `mlflow models serve` cut it by
# themselves; the flavour keeps no calling options, so the model card says `truncation=True`.
CONSUMER = """
import importlib.util, json, sys
import mlflow

uri, name, texts = json.loads(sys.argv[1])
mlflow.set_tracking_uri(uri)
pipeline = mlflow.transformers.load_model(f"models:/{name}@champion", truncation=True)
generic = mlflow.pyfunc.load_model(f"models:/{name}@champion")
print(json.dumps({
    "flavour": [answer["label"] for answer in pipeline(texts)],
    "pyfunc": list(generic.predict(texts)["label"]),
    "strangers": [m for m in ("prefect", "flows", "great_expectations", "accelerate")
                  if importlib.util.find_spec(m)],
}))
"""


@pytest.fixture(scope="module")
def consumer_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the guide's fresh environment, with the newest of everything but torch.

    Of torch the newest build comes with gigabytes of CUDA libraries; constraints.txt says more.
    Without an index the test skips, but in CI it fails.
    """
    folder = tmp_path_factory.mktemp("consumer")
    (torch,) = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    (folder / "torch.txt").write_text(torch, "utf-8")
    pip = {
        "PIP_CONSTRAINT": str(folder / "torch.txt"),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_COMPILE": "1",
    }
    done = subprocess.run(
        ["sh", "-euc", commands("lookup.md", "install")], cwd=folder, env={**os.environ, **pip},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip()[-500:]
        if os.environ.get("CI") != "true" and any(words in said for words in UNREACHABLE):
            pytest.skip(f"pip reaches no index that has the consumer's packages: {said}")
        pytest.fail(f"a consumer's environment cannot be installed: {said}")
    return folder / "reader" / "bin" / "python"


@pytest.fixture(scope="module")
def served(
    promoted_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, dict[str, str]]]:
    """A world whose rival was promoted in an MLflow server that hands its files out by HTTP.

    And what of the guide is another there.
    """
    folder = tmp_path_factory.mktemp("served")
    world = promoted_world.copy_to(folder / "home")
    with Processes(folder) as processes:
        database, files = f"sqlite:///{folder / 'served.db'}", str(folder / "files")
        url = start_mlflow(processes, free_port(), database, files, clean_environment())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REFIT_HOME", str(world.home))
            patch.setenv("MLFLOW_TRACKING_URI", url)
            patch.delenv("REFIT_STORE", raising=False)
            result = retrain.retrain(world.recipe(RIVAL).model_dump(mode="json"), actor="ann")
        assert result.outcome == "promoted", result.summary
        yield world, {"http://your-mlflow:5000": url, "reviews": NAME}


def test_a_stranger_finds_loads_and_calls_the_champion_by_the_guide_alone(
    served: tuple[World, dict[str, str]], consumer_python: Path, tmp_path: Path
) -> None:
    world, replaced = served
    record = world.decision(world.entries[-1].decision_digest).record
    texts = {"Not what I hoped for.": TEXTS[1], "Works like a charm.": TEXTS[0]}
    own = {**replaced, **texts, "0d93f24e...": record.data_digest}
    done = subprocess.run(
        [consumer_python, "-c", commands("lookup.md", "load", **own)], cwd=tmp_path,
        env=stranger(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert f"{NAME} 2 {record.challenger.metrics['accuracy']:.4f}" in said
    assert "'label': 'negative'" in done.stdout
    assert re.search(r"^0 +positive", said[-1])


def test_curl_finds_the_live_version(served: tuple[World, dict[str, str]], tmp_path: Path) -> None:
    world, replaced = served
    asked = ["sh", "-euc", commands("lookup.md", "find", **replaced)]
    done = subprocess.run(asked, env=stranger(tmp_path), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert found["version"] == "2"
    assert tags["refit.model_digest"] == world.entries[-1].model_digest


def test_versions_are_found_by_their_tags(promoted_world: World) -> None:
    record = promoted_world.decision(promoted_world.entries[-1].decision_digest).record
    client = promoted_world.registry.client
    found = client.search_model_versions(f"tags.`refit.snapshot` = '{record.data_digest}'")
    assert [(v.name, str(v.version)) for v in found] == [(NAME, "2")]
    assert client.search_model_versions(f"tags.`refit.snapshot` = '{'0' * 64}'") == []


def test_a_consumer_gets_the_labels_of_refit_predict(
    promoted_world: World, consumer_python: Path, tmp_path: Path
) -> None:
    answered = consume(consumer_python, promoted_world, tmp_path)
    assert answered["strangers"] == []
    assert answered["flavour"] == answered["pyfunc"] == predicted(promoted_world)


def test_the_projects_own_environment_reads_the_same_model(
    promoted_world: World, tmp_path: Path
) -> None:
    answered = consume(Path(sys.executable), promoted_world, tmp_path)
    labels = predicted(promoted_world)
    assert answered["flavour"] == answered["pyfunc"] == labels
    assert labels[:2] == ["positive", "negative"]


def consume(python: Path, world: World, folder: Path) -> dict[str, list[str]]:
    """What a consumer reads, far from this checkout and its environment."""
    request = json.dumps([world.place.tracking_uri, NAME, TEXTS])
    done = subprocess.run(
        [python, "-c", CONSUMER, request], cwd=folder, env=stranger(folder), capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def stranger(home: Path) -> dict[str, str]:
    """The variables of somebody who has heard of nothing."""
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip


def predicted(world: World) -> list[str]:
    """Labels of `refit predict`, from its own process."""
    environment = {**os.environ, "REFIT_HOME": str(world.home)}
    for name in ("REFIT_STORE", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "predict", NAME, "--json", *TEXTS],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [answer["label"] for answer in json.loads(done.stdout)]
