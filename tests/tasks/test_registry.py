"""MLflow at work: one run per train key, one version per digest, an alias that only follows."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from records.document import CurvePoint
from tasks.registry import Registry, RegistryError, TrainingRun, full_address
from tasks.retries import may_pass
from tasks.train import train_challenger
from tests.world import NAME, RIVAL, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow

SECRET = "a-secret-that-nobody-may-log"


def register_again(world: World, digest: str) -> str:
    model = world.path(world.entries[0].model_uri)
    return world.registry.register(
        name=NAME, model_path=model, model_digest=digest, run_id="", description="", tags={},
    )  # fmt: skip


def test_register_makes_one_version_per_digest(adopted: World) -> None:
    known = adopted.entries[0].model_digest
    assert register_again(adopted, known) == "1"
    assert register_again(adopted, "another") == "2"
    assert register_again(adopted, "another") == "2"
    assert [int(v.version) for v in adopted.registry.versions(NAME)] == [1, 2]


def test_of_duplicates_the_lowest_version_counts(adopted: World) -> None:
    registry, digest = adopted.registry, adopted.entries[0].model_digest
    source = registry.versions(NAME)[0].source
    for _ in range(10):
        registry.client.create_model_version(NAME, source, tags={"refit.model_digest": "twice"})
    found = registry.find_version(NAME, "twice")
    assert found is not None
    assert str(found.version) == "2", "as numbers: 2 before 10"
    assert [int(v.version) for v in registry.versions(NAME)] == list(range(1, 12))
    assert str(registry.find_version(NAME, digest).version) == "1"  # type: ignore[union-attr]


def test_an_unknown_model_has_no_version_alias_or_head(adopted: World) -> None:
    registry = adopted.registry
    assert registry.versions("unknown") == []
    assert registry.alias_version("unknown") == ""
    assert registry.mirrored_head("unknown") == (0, "")


def test_who_sets_an_alias_at_once_with_others_does_not_fail(adopted: World) -> None:
    """MLflow looks for the row and then inserts it: two that see none both insert."""
    registry, entry = adopted.registry, adopted.entries[0]
    source = registry.versions(NAME)[0].source
    barrier = threading.Barrier(4)

    def project(name: str) -> None:
        barrier.wait()
        registry.set_alias(name, "1")
        registry.mirror_head(name, entry)
        registry.tag_version(name, "1", "refit.seen", "yes")

    for name in (f"fresh-{number}" for number in range(10)):
        registry.client.create_registered_model(name)
        registry.client.create_model_version(name, source)
        with ThreadPoolExecutor(barrier.parties) as pool:
            list(pool.map(project, [name] * barrier.parties))
        assert registry.alias_version(name) == "1"
        assert registry.mirrored_head(name) == (1, entry.digest)


def test_runs_that_name_the_same_data_at_once_do_not_fail(adopted: World) -> None:
    registry, data = adopted.registry, adopted.data(adopted.recipe())
    (experiment,) = {run.info.experiment_id for run in adopted.runs()}
    barrier = threading.Barrier(4)

    def name(digest: str) -> None:
        run = TrainingRun(registry, registry.client.create_run(experiment).info.run_id)
        snapshot = data.snapshot.model_copy(update={"snapshot_digest": digest})
        barrier.wait()
        run.log_dataset(data.model_copy(update={"snapshot": snapshot}))

    for number in range(10):
        with ThreadPoolExecutor(barrier.parties) as pool:
            list(pool.map(name, [f"{number:064x}"] * barrier.parties))


def test_set_alias_moves_and_removes(adopted: World) -> None:
    registry = adopted.registry
    assert registry.alias_version(NAME) == "1"
    registry.set_alias(NAME, "")
    assert registry.alias_version(NAME) == ""
    registry.set_alias(NAME, "1")
    assert registry.alias_version(NAME) == "1"


def test_digest_of_uri_follows_alias_and_version(adopted: World) -> None:
    registry, digest = adopted.registry, adopted.entries[0].model_digest
    assert registry.digest_of_uri(f"models:/{NAME}@champion") == digest
    assert registry.digest_of_uri(f"models:/{NAME}/1") == digest


@pytest.mark.parametrize("uri", ["models:/nobody@champion", f"models:/{NAME}/9", f"models:/{NAME}"])
def test_digest_of_uri_refuses_what_is_not_there(adopted: World, uri: str) -> None:
    with pytest.raises(RegistryError, match="is not in the registry"):
        adopted.registry.digest_of_uri(uri)


def test_digest_of_uri_names_adopt_for_a_version_that_refit_does_not_know(adopted: World) -> None:
    registry = adopted.registry
    registry.client.create_model_version(NAME, registry.versions(NAME)[0].source)
    with pytest.raises(RegistryError, match=f"refit adopt {NAME} 2"):
        registry.digest_of_uri(f"models:/{NAME}/2")


def test_training_run_is_found_again_by_its_train_key(adopted: World) -> None:
    registry, ids = adopted.registry, []
    for value in ("first", "second"):
        with registry.training_run(
            experiment=NAME, train_key="k" * 64, params={"given": value}, tags={}
        ) as run:
            ids.append(run.run_id)
    assert ids[0] == ids[1]
    assert registry.client.get_run(ids[0]).data.params["given"] == "first"


def test_log_points_takes_more_points_than_one_call_may_carry(adopted: World) -> None:
    registry = adopted.registry
    points = [CurvePoint(step=i, epoch=0.0, name="loss", value=1 / (i + 1)) for i in range(2001)]
    with registry.training_run(experiment=NAME, train_key="long", params={}, tags={}) as run:
        run.log_points(points)
    logged = registry.client.get_metric_history(run.run_id, "loss")
    assert sorted(m.step for m in logged) == list(range(2001))


def test_training_twice_is_one_run_with_params_curve_data_and_system_metrics(
    promoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    recipe = promoted.recipe(RIVAL)
    first, data, num_runs = promoted.train(recipe), promoted.data(recipe), len(promoted.runs())
    promoted.store.delete(f"trains/{first.train_key}.json")
    again = train_challenger.fn(
        promoted.place, NAME, data, recipe.base, recipe.train, first.train_key
    )
    assert again.mlflow_run_id == first.mlflow_run_id
    assert again.model_digest == first.model_digest
    assert len(promoted.runs()) == num_runs

    run = promoted.registry.client.get_run(first.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["refit.train_key"] == first.train_key
    assert run.data.params["train.seed"] == "2"
    assert run.data.params["train.epochs"] == "4.0"
    assert run.data.params["base.model"] == recipe.base.model
    names = set(run.data.metrics)
    assert {"loss", "learning_rate", "validation_accuracy"} <= names
    assert any(name.startswith("system/") for name in names), sorted(names)
    dataset = run.inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.source)["snapshot"] == data.snapshot.snapshot_digest
    assert json.loads(dataset.profile)["test"]["rows"] == 240
    assert SECRET.encode() not in (promoted.home / "mlflow.db").read_bytes()


def test_a_refusal_of_mlflow_is_told_from_a_fault(adopted: World) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

    assert may_pass(MlflowException("busy", INTERNAL_ERROR))
    assert not may_pass(MlflowException("wrong", INVALID_PARAMETER_VALUE))
    assert not may_pass(ValueError("wrong"))
    assert Registry(adopted.place).count_models() == 1


def test_a_database_s_password_is_found_where_mlflow_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The place, which travels, holds the address alone."""
    full = f"postgresql+psycopg2://ann:{SECRET}@db/mlflow"
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: full)
    assert full_address("postgresql+psycopg2://db/mlflow") == full
    assert (
        full_address("postgresql+psycopg2://elsewhere/mlflow")
        == "postgresql+psycopg2://elsewhere/mlflow"
    )
