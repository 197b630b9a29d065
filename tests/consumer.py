"""A consumer of texts: MLflow in a process of its own, far from this checkout."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.world import World

CONSUMER = """
import json, sys
import mlflow

uri, name, texts = json.loads(sys.argv[1])
mlflow.set_tracking_uri(uri)
print(json.dumps(mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(texts)))
"""


def asked_by_consumer(world: World, name: str, texts: list[str], folder: Path) -> Any:
    """What `models:/name@champion` answers there."""
    request = json.dumps([world.place.tracking_uri, name, texts])
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, request], cwd=folder, env=clean, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
