"""One home with its store, registry and ledger, and what tests do to it and ask of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from flows import retrain
from flows.form import Mode
from flows.recipe import Recipe, parse_recipe
from records.data import DataRef
from records.document import DecisionFile, TrainResult
from records.evaluation import IndexEntry, RunResult
from records.ledger import LedgerEntry
from records.search import SearchResult
from tasks.check import check
from tasks.decide import read_decision, read_index
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.ledger import history
from tasks.place import Place
from tasks.registry import Registry
from tasks.store import LocalStore
from tasks.train import base_digest, train_challenger, train_key

NAME = "tiny"
NUM_TEST = 240
RIVAL = "train.seed=2"
"""The override that makes the recipe of the rival."""
EXAMPLES = ["the thing1 number 1 is good", "the thing2 number 2 is awful"]
TRAINING = {
    "epochs": 4, "learning_rate": 0.003, "batch_size": 32, "max_length": 32, "precision": "fp32",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """One home and the files that its recipes name."""

    home: Path
    files: Path

    @property
    def place(self) -> Place:
        return Place(
            home=str(self.home),
            store_uri=str(self.home / "store"),
            tracking_uri=f"sqlite:///{self.home / 'mlflow.db'}",
        )

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.home / "store")

    @property
    def registry(self) -> Registry:
        return Registry(self.place)

    def recipe(self, *overrides: str) -> Recipe:
        """Good data, seed 1; the recipe that version 2 came from."""
        values: dict[str, Any] = {
            "name": NAME,
            "data": {"train": str(self.files / "good.csv"), "test": str(self.files / "test.csv")},
            "base": {"model": str(self.files / "base")},
            "train": TRAINING,
            "gate": {"minimum": 0.8, "margin": 0.05, "min_items": 100},
        }
        return parse_recipe(values, overrides)

    def first_recipe(self) -> Recipe:
        """Data on which a first champion beats the baseline by far."""
        return self.recipe(
            f"data.train={self.files / 'agreement.csv'}",
            f"data.test={self.files / 'agreement_test.csv'}",
            "train.epochs=10",
        )

    def worse_recipe(self) -> Recipe:
        """Training labels turned round: a challenger that is shown worse."""
        return self.recipe(f"data.train={self.files / 'noisy.csv'}")

    def run(
        self, recipe: Recipe, mode: Mode = "promote", *, actor: str = "ann", reason: str = ""
    ) -> RunResult:
        """The flow itself, as the command line starts it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REFIT_HOME", str(self.home))
            patch.delenv("REFIT_STORE", raising=False)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            values = recipe.model_dump(mode="json")
            return retrain.retrain(values, actor=actor, reason=reason, mode=mode)

    def data(self, recipe: Recipe) -> DataRef:
        snapshot = ingest.fn(self.place, recipe.data, recipe.task)
        return check.fn(self.place, snapshot, recipe.data, recipe.checks, recipe.split)

    def train(self, recipe: Recipe) -> TrainResult:
        """The recipe's challenger; taken from the store where it was trained before."""
        data = self.data(recipe)
        key = self.train_key(recipe, data)
        return train_challenger.fn(self.place, NAME, data, recipe.base, recipe.train, key)

    def train_key(self, recipe: Recipe, data: DataRef) -> str:
        """As the flow makes it."""
        base = base_digest.fn(self.place, recipe.base, data, recipe.gate.metric)
        return train_key(data, base, recipe.train)

    def evaluate(self, recipe: Recipe, challenger: TrainResult) -> str:
        """Key of the evaluation against today's champion and anchor."""
        candidates = retrain.candidates(challenger, self.entries)
        return evaluate.fn(
            self.place, self.data(recipe), recipe.gate.slices, candidates, not self.entries
        )

    def path(self, key: str) -> Path:
        return self.store.path(key)

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        return history(self.store, NAME)

    @property
    def index(self) -> tuple[IndexEntry, ...]:
        return read_index(self.store, NAME)

    def decision(self, digest: str) -> DecisionFile:
        return read_decision(self.store, NAME, digest)

    @property
    def alias(self) -> str:
        return self.registry.alias_version(NAME)

    def runs(self) -> list[Run]:
        """Every training run of the model in MLflow."""
        client = self.registry.client
        experiment = client.get_experiment_by_name(NAME)
        return list(client.search_runs([experiment.experiment_id]))

    def search_tags(self, found: SearchResult) -> set[str]:
        """What the runs of a search, or of a choice, say of whether a time limit ended it."""
        runs = [r for r in self.runs() if r.data.tags.get("refit.search") == found.search_key]
        return {run.data.tags["refit.is_cut"] for run in runs if "refit.is_cut" in run.data.tags}

    def throne(self) -> dict[str, object]:
        """All that a run which does not promote must leave alone."""
        versions = self.registry.versions(NAME)
        return {
            "alias": self.alias,
            "ledger": self.entries,
            "versions": [(v.version, dict(v.tags), v.description) for v in versions],
            "names": sorted(self.store.list("names")),
        }

    def copy_to(self, folder: Path) -> "World":
        """The same world in another home. MLflow's artifacts stay where its database says."""
        shutil.copytree(self.home, folder, ignore=shutil.ignore_patterns("mlartifacts"))
        return World(folder, self.files)


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
