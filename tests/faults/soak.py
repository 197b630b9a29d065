"""Five minutes of six recipes at once on the real services, each of which is killed once: `make soak`.

PostgreSQL, S3, Prefect server, MLflow server and a worker as `refit up --real` starts them. The
Prefect server, the MLflow server and the S3 gateway are killed and come back after a while; then the
worker is killed with the runs that it had, and another one takes over. In the end every run has
ended, none is lost, and every alias says what its ledger says. Crashed are those of the killed worker,
and those that were just starting when the Prefect server was away: they are run again, as a schedule
would. Prints its figures as JSON.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.local.processes import Child, Processes
from deployments.local.stack import Stack, s3_settings
from deployments.up import ENVIRONMENT, POOL, deploy_all, running, start_worker
from flows.reap import CRASHED_WITHIN_S
from flows.recipe import Recipe, parse_recipe
from tasks.ledger import champion, history, verify
from tasks.place import Place
from tasks.registry import Registry
from tasks.store import open_store
from tests.faults.served import away
from tests.tiny import write_agreement_csv, write_base
from tests.world import TRAINING

NUM_RECIPES = 6
SOAK_S = 300.0
AWAY_S = 15.0
LOOK_S = 2.0
END_S = 900.0
"""Until the last run has ended, on a machine that does other things too."""
FAULTS = {60.0: "prefect", 120.0: "mlflow", 180.0: "radosgw", 240.0: "worker"}


@dataclass
class Soak:
    """What was started, and how it ended."""

    stack: Stack
    processes: Processes
    recipes: list[Recipe]
    worker: Child
    started_s: float = field(default_factory=time.monotonic)
    open: dict[str, UUID] = field(default_factory=dict)
    """The run that goes on now, by recipe."""
    ended: Counter[str] = field(default_factory=Counter)
    num_started: int = 0
    killed_s: float = 0.0
    crashed_after_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    num_second_versions: int = 0
    """Of models that were there: a client's retry after a lost answer makes one; nobody is led to it."""

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.started_s

    def look(self, *, is_over: bool) -> None:
        """Note what ended, and start the next run of each recipe that has none."""
        with get_client(sync_client=True) as client:
            for recipe in self.recipes:
                run_id = self.open.get(recipe.name)
                run = client.read_flow_run(run_id) if run_id else None
                if run is not None and not (run.state and run.state.is_final()):
                    continue
                if run is not None:
                    self.note(recipe.name, run)
                if not is_over or self.is_to_be_repeated(run):
                    self.open[recipe.name] = self.start(client, recipe)

    def note(self, name: str, run: FlowRun) -> None:
        """Count how a run ended."""
        del self.open[name]
        self.ended[run.state_name or ""] += 1
        if run.state_name == "Crashed" and self.killed_s:
            self.crashed_after_s.append(round(self.now_s - self.killed_s, 1))
        print(f"{self.now_s:5.0f} s  {name}: {run.state_name}", file=sys.stderr, flush=True)

    @staticmethod
    def is_to_be_repeated(run: FlowRun | None) -> bool:
        """A run whose process was killed is run again, as its schedule would."""
        return run is not None and run.state_name == "Crashed"

    def start(self, client: Any, recipe: Recipe) -> UUID:
        """One more run, with something to do that was not done before."""
        deployment = client.read_deployment_by_name(f"retrain/{recipe.name}-{ENVIRONMENT}")
        self.num_started += 1
        epochs = 10 + 0.25 * (self.num_started // NUM_RECIPES)
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters={**deployment.parameters, "epochs": epochs}
        )
        found: UUID = run.id
        return found

    def starts(self) -> bool:
        """Whether a run is between worker and flow: nobody ends one whose worker dies then."""
        with get_client(sync_client=True) as client:
            runs = [client.read_flow_run(run_id) for run_id in self.open.values()]
        return any(run.state_type in (StateType.SCHEDULED, StateType.PENDING) for run in runs)

    def break_(self, name: str) -> None:
        """Kill a server, which comes back; or the worker, with all that it runs."""
        self.faults.append(f"{name} at {self.now_s:.0f} s")
        print(f"{self.now_s:5.0f} s  killing {name}", file=sys.stderr, flush=True)
        if name == "worker":
            self.killed_s = self.now_s
            self.worker.kill()
            self.worker = start_worker(self.processes, self.stack)
            return
        with away(self.processes, self.stack, name):
            time.sleep(AWAY_S)

    def run(self) -> None:
        """The five minutes, and until the last run has ended."""
        due = dict(FAULTS)
        while self.now_s < SOAK_S or self.open or due:
            assert self.now_s < SOAK_S + END_S, f"still open: {self.open}"
            if due and self.now_s >= min(due) and not (due[min(due)] == "worker" and self.starts()):
                self.break_(due.pop(min(due)))
            self.look(is_over=self.now_s >= SOAK_S and not due)
            time.sleep(LOOK_S)

    def check(self) -> None:
        """Nothing failed, nothing is lost, and every alias follows its ledger."""
        assert len(self.faults) == len(FAULTS), self.faults
        assert self.crashed_after_s, "the worker was killed, and no run of its ended"
        assert sum(self.ended.values()) == self.num_started
        bad = {"Failed", "Cancelled", "TimedOut"} & set(self.ended)
        assert not bad, self.ended
        assert all(s <= CRASHED_WITHIN_S for s in self.crashed_after_s), self.crashed_after_s
        assert self.stack.s3 is not None
        store = open_store(self.stack.store_uri, s3_settings(self.stack.s3))
        registry = Registry(
            Place(home=".", store_uri=store.uri, tracking_uri=self.stack.mlflow_url)
        )
        for recipe in self.recipes:
            entries = history(store, recipe.name)
            live = champion(entries)
            assert live is not None, recipe.name
            assert verify(store, recipe.name) == []
            assert registry.alias_version(recipe.name) == live.version
            digests = [entry.decision_digest for entry in entries]
            assert len(set(digests)) == len(digests)
            models = [v.tags["refit.model_digest"] for v in registry.versions(recipe.name)]
            self.num_second_versions += len(models) - len(set(models))


def recipes(folder: Path) -> list[Recipe]:
    """Six models with data of their own."""
    write_base(folder / "base")
    made = []
    for number in range(NUM_RECIPES):
        train, test = folder / f"train-{number}.csv", folder / f"test-{number}.csv"
        write_agreement_csv(train, num_rows=800, first=10_000 * number)
        write_agreement_csv(test, num_rows=240, first=10_000 * number + 5000)
        made.append(
            parse_recipe(
                {
                    "name": f"soak-{number}",
                    "data": {"train": str(train), "test": str(test)},
                    "base": {"model": str(folder / "base")},
                    "train": {**TRAINING, "epochs": 10},
                    "gate": {"minimum": 0.5, "margin": 0.2, "min_items": 100},
                }
            )
        )
    return made


def main() -> int:
    """Run the soak; 0 if everything held."""
    wait: Callable[[float], None] = time.sleep
    with tempfile.TemporaryDirectory(prefix="refit-soak-") as name:
        folder = Path(name)
        with running(folder / "home", is_real=True, ports=(0, 0)) as (stack, processes):
            made = recipes(folder)
            deploy_all(made, POOL, ENVIRONMENT, limit=NUM_RECIPES)
            worker = start_worker(processes, stack)
            wait(5)
            soak = Soak(stack, processes, made, worker)
            soak.run()
            soak.check()
            figures = {
                "runs": soak.num_started, "ended": dict(soak.ended), "faults": soak.faults,
                "crashed_after_s": soak.crashed_after_s,
                "second_versions": soak.num_second_versions, "wall_s": round(soak.now_s),
            }  # fmt: skip
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
