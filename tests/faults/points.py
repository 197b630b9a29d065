"""Points of a run: before and after every write to store and registry; the run can die at one.

Installed by tests/faults/zygote.py in the process that runs the command; nothing outside of tests
knows of it.
"""

import functools
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

STORE = ("write", "put_if_absent", "upload", "delete")
RUNS = ("create_run", "log_batch", "log_inputs", "set_tag", "update_run_info", "create_logged_model",
        "finalize_logged_model", "set_logged_model_tags", "create_experiment", "record_logged_model",
        "log_outputs")  # fmt: skip
MODELS = ("create_registered_model", "create_model_version", "set_registered_model_alias",
          "delete_registered_model_alias", "set_registered_model_tag", "update_model_version")  # fmt: skip
ARTIFACTS = ("log_artifact", "log_artifacts")
COUNTED_THREADS = ("MainThread", "checkpoints")
"""MLflow samples system metrics in a thread of its own, whenever it likes."""
DIGEST = re.compile(r"[0-9a-f]{32,64}|(?<=-)[0-9a-f]{8}(?=/)|[0-9a-f]{12}(?=/)")


class Points:
    """Notes every point in a file, and kills the own process group at the one that is named, or at
    the n-th, `#n`."""

    def __init__(self, kill_at: str, record: Path) -> None:
        self.kill_at = kill_at
        self.file = record.open("a", encoding="utf-8")
        self.counts: Counter[str] = Counter()
        self.num_passed = 0
        self.lock = threading.Lock()

    def install(self) -> None:
        """Wrap the adapters of this process."""
        from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
        from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
        from mlflow.store.model_registry.rest_store import RestStore as ServedModelStore
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as ModelStore
        from mlflow.store.tracking.rest_store import RestStore as ServedRunStore
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as RunStore

        from tasks.store import LocalStore, S3Store

        for kind, names, prefix in (
            (LocalStore, STORE, "store"),
            (S3Store, STORE, "store"),
            (RunStore, RUNS, "mlflow"),
            (ServedRunStore, RUNS, "mlflow"),
            (ModelStore, MODELS, "registry"),
            (ServedModelStore, MODELS, "registry"),
            (LocalArtifactRepository, ARTIFACTS, "artifacts"),
            (HttpArtifactRepository, ARTIFACTS, "artifacts"),
        ):
            for name in names:
                if hasattr(kind, name):
                    setattr(kind, name, self._wrapped(getattr(kind, name), f"{prefix}.{name}"))

    def _wrapped(self, method: Callable[..., Any], label: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(this: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.current_thread().name not in COUNTED_THREADS:
                return method(this, *args, **kwargs)
            what = label
            if label.startswith("store."):
                what = f"{label} {DIGEST.sub('*', str(args[0]))}"
            with self.lock:
                self.counts[what] += 1
                what = f"{what} #{self.counts[what]}"
            self._pass(f"before {what}")
            result = method(this, *args, **kwargs)
            self._pass(f"after {what}")
            return result

        return call

    def _pass(self, point: str) -> None:
        self.file.write(f"{point}\n")
        self.file.flush()
        self.num_passed += 1
        if self.kill_at in (point, f"#{self.num_passed}"):
            os.killpg(0, signal.SIGKILL)
