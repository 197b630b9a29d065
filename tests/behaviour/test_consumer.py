"""Who needs the model needs MLflow, transformers and torch, and nothing of this project."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.world import NAME, World

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
    """The interpreter of a fresh environment; without an index the test skips, but in CI it fails."""
    folder = tmp_path_factory.mktemp("consumer") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = f"-m pip install --quiet --no-cache-dir -c {ROOT / 'constraints.txt'}".split()
    command = [str(python), *install, "mlflow", "torch", "transformers"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip()[-500:]
        if os.environ.get("CI") != "true" and any(words in said for words in UNREACHABLE):
            pytest.skip(f"pip reaches no index that has the consumer's packages: {said}")
        pytest.fail(f"a consumer's environment cannot be installed: {said}")
    return python


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
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "HF_HUB_OFFLINE": "1",
                   "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}  # fmt: skip
    done = subprocess.run(
        [python, "-c", CONSUMER, request], cwd=folder, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


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
