"""A consumer of texts: MLflow in a process of its own, far from this checkout.

Its environment is the project's own, where an editable install makes every room importable; so the
rooms are refused by name. What it loads is what a stranger has: the registered artifact.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.world import World

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
ROOMS = sorted({name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]})
WITHOUT_ROOMS = f"""
import sys

class NoRooms:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {ROOMS}:
            raise ModuleNotFoundError(f"a stranger has no module named {{name!r}}", name=name)

sys.meta_path.insert(0, NoRooms)
"""
CONSUMER = f"""{WITHOUT_ROOMS}
import json
import mlflow

uri, name, texts = json.loads(sys.argv[1])
mlflow.set_tracking_uri(uri)
print(json.dumps(mlflow.pyfunc.load_model(f"models:/{{name}}@champion").predict(texts)))
"""


def asked_by_consumer(world: "World", name: str, texts: list[str], folder: Path) -> Any:
    """What `models:/name@champion` answers there."""
    request = json.dumps([world.place.tracking_uri, name, texts])
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, request], cwd=folder, env=clean, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
