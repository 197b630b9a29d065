"""Runs on the real servers, and those servers going away and coming back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deployments.local.processes import Child, Processes, answers
from deployments.local.stack import Stack, s3_settings
from tasks.ledger import champion, history, verify
from tasks.payload import read_manifest
from tasks.place import Place
from tasks.registry import TAG_DIGEST, Registry
from tasks.store import S3Store
from tests.world import World

HEALTH = {"prefect": "/api/health", "mlflow": "/health", "radosgw": "/"}
READY_S = 120.0


@dataclass(frozen=True)
class Served:
    """One model name on the real servers, in a store of its own."""

    stack: Stack
    name: str

    @property
    def store(self) -> S3Store:
        assert self.stack.s3 is not None
        bucket = urlsplit(self.stack.store_uri).netloc
        return S3Store(bucket, f"outage/{self.name}", s3_settings(self.stack.s3))

    @property
    def environment(self) -> dict[str, str]:
        """Of a command that works on it."""
        return {**self.stack.environment(), "REFIT_STORE": self.store.uri}

    def write_recipe(self, world: World) -> None:
        """`recipe.yaml` in the world's home: a first champion of this name."""
        values = world.first_recipe().model_dump(mode="json", exclude_defaults=True)
        path = Path(world.home) / "recipe.yaml"
        path.write_text(yaml.safe_dump({**values, "name": self.name}), "utf-8")

    def ended(self) -> dict[str, Any]:
        """All that must be the same, whatever was away in the meantime."""
        registry = Registry(
            Place(home=".", store_uri=self.store.uri, tracking_uri=self.stack.mlflow_url)
        )
        entries = history(self.store, self.name)
        live = champion(entries)
        assert live is not None
        assert verify(self.store, self.name) == []
        (version,) = registry.versions(self.name)
        assert version.tags[TAG_DIGEST] == live.model_digest
        experiment = registry.client.get_experiment_by_name(self.name)
        runs = registry.client.search_runs([experiment.experiment_id])
        report = f"reports/{self.name}/{live.decision_digest}/document.json"
        return {
            "digest": live.model_digest,
            "files": sorted(read_manifest(self.store, live.model_uri)["files"]),  # type: ignore[arg-type]
            "entries": [(e.sequence, e.action, e.version) for e in entries],
            "alias": registry.alias_version(self.name),
            "runs": [run.info.status for run in runs],
            "has_report": self.store.exists(report),
        }


def child_of(processes: Processes, name: str) -> Child:
    """The program of that name that was started last."""
    return next(child for child in reversed(processes.children) if child.name == name)


@contextmanager
def away(processes: Processes, stack: Stack, name: str) -> Iterator[None]:
    """The server is killed for the block, and answers again after it."""
    assert stack.s3 is not None
    url = {"prefect": stack.prefect_url, "mlflow": stack.mlflow_url, "radosgw": stack.s3.endpoint}
    port = urlsplit(url[name]).port
    assert port is not None
    child = child_of(processes, name)
    child.kill()
    try:
        yield
    finally:
        again = child.again()
        processes.wait_ready(again, lambda: answers(port, HEALTH[name]), READY_S)


def pause(seconds: float) -> None:
    """How long an outage lasts."""
    time.sleep(seconds)
