"""Two promotions at once, left alone or one killed at a random write: no gap, no double, one head.

`make faults` races 100 pairs that nobody kills; CI a handful. Real processes on a folder store and
MLflow's database. What is promoted is registered before, so that
a trial takes a second: `test_kill.py` kills registrations.
"""

import os
import random
import time
from pathlib import Path

import pytest

from models.gate import decide
from records.base import digest_of, file_sha256
from records.document import DecisionFile, TrainResult
from tasks.decide import decision_path
from tasks.ledger import ChampionChanged, history, verify
from tasks.payload import put_folder
from tasks.promote import promote
from tasks.reconcile import reconcile
from tasks.registry import TAG_DIGEST
from tests.faults.promotions import LOST
from tests.faults.runs import Command, Zygote
from tests.models.gate_records import items_of, record_of
from tests.world import World

pytest_plugins = ["tests.worlds"]

IS_FULL = os.environ.get("REFIT_FAULTS") == "all"
NUM_RACES = 100 if IS_FULL else 4
NUM_FIRST_RACES = 20 if IS_FULL else 4
NUM_TRIALS = 20
SEED = 20261124
AHEAD_S = 0.5
"""Both processes are up by then."""


class Throne:
    """A ledger with its registry, and challengers with a decision each."""

    def __init__(self, world: World, name: str = "raced") -> None:
        self.world = world
        self.name = name
        self.num_models = 0
        self.num_races = 0
        base = record_of(items=items_of(200), name=name)
        self.file = DecisionFile(record=base, decision=decide(base))
        assert self.file.decision.verdict == "promote"
        world.registry.client.create_registered_model(name)

    def challenger(self) -> tuple[TrainResult, str]:
        """A registered model with a decision against today's head: its training, and the decision."""
        self.num_models += 1
        folder = self.world.home / f"{self.name}-{self.num_models}"
        folder.mkdir()
        (folder / "weights").write_text(f"{self.name} {self.num_models}")
        digest = digest_of({"weights": file_sha256(folder / "weights")})
        put_folder(self.world.store, f"models/{digest}", folder)
        self.world.registry.client.create_model_version(
            self.name, folder.as_uri(), tags={TAG_DIGEST: digest}
        )
        record = self.file.record
        judged = record.model_copy(
            update={
                "challenger": record.challenger.model_copy(update={"model_digest": digest}),
                "ledger_sequence": len(history(self.world.store, self.name)),
            }
        )
        file = self.file.model_copy(update={"record": judged})
        self.world.store.write(decision_path(self.name, file.digest), file.to_json())
        train = TrainResult(
            train_key=digest, model_digest=digest, model_key=f"models/{digest}", base="b",
            base_digest="b", base_lineage_known=True, num_steps=1, best_step=1, metric="accuracy",
            best_value=1.0, curve=(), seed=1, dtype="fp32", device="cpu", wall_s=1.0,
            samples_per_s=1.0, tokens_per_s=1.0, peak_memory_bytes=1, num_truncated={},
        )  # fmt: skip
        return train, file.digest

    def start(
        self, zygote: Zygote, train: TrainResult, decision: str, at_s: float, kill_at: str
    ) -> Command:
        """Promote in a process of its own at an instant of the machine's clock."""
        path = self.world.home / f"{train.model_digest}.json"
        path.write_bytes(train.to_json())
        return zygote.start(
            self.world, self.name, decision, str(path), f"{at_s}", kill_at=kill_at,
            module="tests.faults.promotions",
        )  # fmt: skip

    def check(self) -> None:
        """One entry per race in one chain, and everything follows its head."""
        entries = history(self.world.store, self.name)
        assert verify(self.world.store, self.name) == []
        assert [entry.sequence for entry in entries] == list(range(1, self.num_races + 1))
        decisions = [entry.decision_digest for entry in entries]
        assert len(set(decisions)) == len(decisions)
        registry = self.world.registry
        assert reconcile.fn(self.world.place, self.name) == registry.alias_version(self.name)
        assert registry.alias_version(self.name) == entries[-1].version
        assert registry.mirrored_head(self.name) == (self.num_races, entries[-1].digest)
        assert len(registry.versions(self.name)) == self.num_models, "no version twice"


@pytest.fixture(scope="module")
def throne(tmp_path_factory: pytest.TempPathFactory) -> Throne:
    home = tmp_path_factory.mktemp("throne") / "home"
    home.mkdir()
    return Throne(World(home, Path("nowhere")))


def race(throne: Throne, zygote: Zygote, kill_at: str) -> tuple[int, int, int]:
    """Both exit codes, the first one's process being killed there, and the points that it passed."""
    throne.num_races += 1
    pair = [throne.challenger(), throne.challenger()]
    at_s = time.monotonic() + AHEAD_S
    kills = (kill_at, "")
    commands = [
        throne.start(zygote, train, decision, at_s, kill)
        for (train, decision), kill in zip(pair, kills, strict=True)
    ]
    codes = [command.wait() for command in commands]
    said = "\n".join(command.said for command in commands)
    assert codes[0] in (0, LOST, -9), said
    assert codes[1] in (0, LOST), said
    num_points = len(commands[0].points.read_text("utf-8").splitlines())
    # Whoever was killed is run again: it finds its own entry, or that it came second.
    train, decision = pair[0]
    try:
        promote.fn(
            throne.world.place,
            throne.name,
            throne.name,
            train,
            decision,
            "# card",
            "ann",
            "because",
        )
        has_won = True
    except ChampionChanged:
        has_won = False
    assert has_won != (codes[1] == 0), "exactly one of the two won"
    return codes[0], codes[1], num_points


@pytest.mark.timeout(1800)
def test_of_two_promotions_one_wins_and_the_alias_ends_at_the_one_head(
    throne: Throne, zygote: Zygote
) -> None:
    wins = [0, 0]
    for _ in range(NUM_RACES):
        *codes, _ = race(throne, zygote, kill_at="")
        assert sorted(codes) == [0, LOST]
        throne.check()
        wins[codes.index(0)] += 1
    print(f"{NUM_RACES} races: {wins[0]} and {wins[1]} won")
    assert min(wins) > 0 or not IS_FULL, "one side always won: these were no races"


def test_of_two_first_promotions_of_a_model_one_wins(throne: Throne, zygote: Zygote) -> None:
    for number in range(NUM_FIRST_RACES):
        first = Throne(throne.world, f"first-{number}")
        *codes, _ = race(first, zygote, kill_at="")
        assert sorted(codes) == [0, LOST]
        first.check()


def test_of_two_promotions_one_is_killed_and_the_alias_ends_at_the_one_head(
    throne: Throne, zygote: Zygote
) -> None:
    _, _, num_points = race(throne, zygote, kill_at="")
    throne.check()
    draw = random.Random(SEED)
    num_killed, num_won = 0, 0
    for _ in range(NUM_TRIALS):
        number = draw.randint(1, num_points)
        first, second, _ = race(throne, zygote, kill_at=f"#{number}")
        throne.check()
        num_killed += first == -9
        num_won += second == 0
    print(f"{num_killed} of {NUM_TRIALS} were killed, in {num_won} the other one won")
    assert num_killed >= NUM_TRIALS // 2
    assert 0 < num_won < NUM_TRIALS, "one side always won: these were no races"
