"""Everything asks for a password: nothing shows one, and nobody acts without one."""

import time
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.states import Completed, Running

from deployments.access import doors
from flows.deploy import deploy
from flows.recipe import load_recipe
from flows.settings import load_place
from tests.client_of import client_of
from tests.guarded import Ended, Guarded
from tests.receiver import receiving
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(1800)]

NOWHERE = "127.0.0.1:9"
MARKED = {
    "wrong MLflow password": "wrong-mlflow-5d41",
    "password in an address": "wrong-address-402a",
    "password of a database": "wrong-database-bc4b",
    "wrong S3 secret": "wrong-s3-2a76",
    "token of the hub": "hf_marked-b971",
    "password of refit serve": "serve-marked-9d91",
    "token of refit listen": "listen-marked-77c0",
    "token of a webhook": "webhook-marked-e3f8",
    "password of Apprise": "apprise-marked-61ba",
}
TOLD_LIMIT_S = 120.0


class Night(NamedTuple):
    """What was run, and how it ended."""

    ended: dict[str, Ended]
    recipe: Path
    reader: dict[str, str]
    """Variables of a user of MLflow who may only read."""


@pytest.fixture(scope="module")
def night(guarded: Guarded, files: Path) -> Night:
    """Runs that fail for each wrong secret, then one that promotes."""
    recipe = guarded.home / "recipe.yaml"
    values = (
        World(guarded.home, files).first_recipe().model_dump(mode="json", exclude_defaults=True)
    )
    recipe.write_text(yaml.safe_dump(values), "utf-8")
    run, s3 = ["run", str(recipe)], f"s3://refit:{MARKED['wrong S3 secret']}@refit"
    server = f"http://ann:{MARKED['password in an address']}@{NOWHERE}"
    database = f"postgresql+psycopg2://ann:{MARKED['password of a database']}@{NOWHERE}/mlflow"
    by_address, reader = (
        {"MLFLOW_TRACKING_URI": guarded.tracking_with_password},
        new_reader(guarded),
    )
    asked = {
        "wrong MLflow": (run, {"MLFLOW_TRACKING_PASSWORD": MARKED["wrong MLflow password"]}),
        "no MLflow": (run, {"MLFLOW_TRACKING_URI": server}),
        "no database": (run, {"MLFLOW_TRACKING_URI": database}),
        "wrong S3": (run, {"AWS_SECRET_ACCESS_KEY": MARKED["wrong S3 secret"]}),
        "secret in store": (run, {"REFIT_STORE": f"{s3}/store"}),
        "secret in recipe": ([*run, "--set", f"data.train={s3}/rows.csv"], {}),
        "secret in a list": ([*run, "--set", f"base.candidates=[org/a, '{s3}/base']"], {}),
        "deploy": (["deploy", str(recipe), "--pool", "guarded"], {}),
        "run": (run, by_address),
        "reader": ([*run, "--set", "train.seed=3"], reader),
        "lookup": (["lookup", NAME], {}),
        "doctor": (["doctor"], by_address),
    }
    marked = {
        "HF_TOKEN": MARKED["token of the hub"],
        "REFIT_SERVE_PASSWORD": MARKED["password of refit serve"],
        "REFIT_LISTEN_TOKEN": MARKED["token of refit listen"],
        "REFIT_NOTIFY_URL": f"http://{NOWHERE}/hook?token={MARKED['token of a webhook']}",
    }
    ended = dict(zip(asked, guarded.refit(*asked.values(), **marked), strict=True))
    tell_in_vain(guarded, recipe)
    return Night(ended, recipe, reader)


def tell_in_vain(guarded: Guarded, recipe: Path) -> None:
    """Runs end, and those who are to be told of it answer with a fault, which the server logs."""
    with (
        client_of(guarded.variables),
        receiving(MARKED["token of a webhook"], status=500) as receiver,
        pytest.MonkeyPatch.context() as patch,
    ):
        by_apprise = f"json://ann:{MARKED['password of Apprise']}@127.0.0.1:{receiver.server_port}"
        for name, url in {"hooked": receiver.url, "apprised": by_apprise}.items():
            patch.setenv("REFIT_NOTIFY_URL", url)
            deploy(load_recipe(recipe, [f"name={name}"]), pool="guarded", environment="told")
            with get_client(sync_client=True) as client:
                found = client.read_deployment_by_name(f"retrain/{name}-told")
                run = client.create_flow_run_from_deployment(found.id)
                for state in (Running(), Completed(name="Promoted", message="in vain")):
                    client.set_flow_run_state(run.id, state, force=True)
        deadline = time.monotonic() + TOLD_LIMIT_S
        while len({one["path"] for one in receiver.received}) < 2:
            assert time.monotonic() < deadline, f"only these were told: {receiver.received}"
            time.sleep(0.2)
        time.sleep(3)  # until the server has said what it thinks of the answers


def test_no_place_holds_a_secret(guarded: Guarded, night: Night) -> None:
    stack = guarded.stack
    assert stack.s3 is not None
    assert stack.postgres is not None
    assert stack.guard is not None
    real = {
        "S3's secret": stack.s3.secret_key,
        "PostgreSQL's password": stack.postgres.password,
        "Prefect's and MLflow's password": stack.guard.password,
        "MLflow's session key": stack.guard.flask_key,
    }
    assert guarded.leaks({**real, **MARKED}) == []
    said = "".join(ended.said for ended in night.ended.values())
    assert [name for name, secret in {**real, **MARKED}.items() if secret in said] == []


def test_the_search_looks_into_every_place(guarded: Guarded, night: Night) -> None:
    found = "\n".join(
        guarded.leaks({"name": NAME, "outcome": "Promoted", "chain": "previous_hash"})
    )
    for place in (
        "table flow_run of prefect", "table log of prefect", "table artifact of prefect",
        "table flow_run_state of prefect", "table events of prefect", "table deployment of prefect",
        "table model_versions of mlflow", "table runs of mlflow", "s3://refit/store/ledger/",
        "s3://refit/store/reports/", "s3://refit/mlflow/", "/refit/reports/", "/stack/log/",
    ):  # fmt: skip
        assert place in found
    assert guarded.leaks({"a program": "initdb"}), "command lines were not seen"


def test_each_wrong_secret_is_one_clear_error(night: Night) -> None:
    expected = {
        "wrong MLflow": (2, "MLflow answered 401; check MLFLOW_TRACKING_USERNAME and"),
        "no MLflow": (1, f"http://{NOWHERE}/api"),
        "no database": (1, "Connection refused"),
        "wrong S3": (2, "check the access key, its secret, its rights and this clock"),
        "secret in store": (2, "REFIT_STORE holds a name or password, which logs would show"),
        "secret in recipe": (2, "data.train: holds a name or password"),
        "secret in a list": (2, "base.candidates.1: holds a name or password"),
    }
    for name, (code, said) in expected.items():
        ended = night.ended[name]
        assert (name, ended.code) == (name, code)
        assert said in ended.said
        assert ended.said.count("error:") == 1
        assert "Traceback" not in ended.said


def test_with_the_right_ones_it_promotes(guarded: Guarded, night: Night) -> None:
    for name in ("deploy", "run", "lookup", "doctor"):
        assert night.ended[name].code == 0, night.ended[name].said
    assert "PROMOTED" in night.ended["run"].said
    assert "✗" not in night.ended["doctor"].said


def test_prefect_lets_nobody_in_with_a_wrong_password(guarded: Guarded, night: Night) -> None:
    before = facts(guarded)
    (ended,) = guarded.refit(
        (["run", str(night.recipe)], {}), PREFECT_API_AUTH_STRING="refit:wrong"
    )
    assert ended.code == 2
    assert "Prefect answered 401; check PREFECT_API_AUTH_STRING" in ended.said
    assert ended.said.count("error:") == 1
    assert facts(guarded) == before


def test_who_brings_no_password_or_a_wrong_one_is_answered_401_and_changes_nothing(
    guarded: Guarded, night: Night
) -> None:
    stack, known = guarded.stack, facts(guarded)
    assert stack.guard is not None
    with client_of(guarded.variables), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"retrain/{NAME}-guarded").id

        def runs() -> list[Any]:
            own = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
            return [run.id for run in client.read_flow_runs(deployment_filter=own)]

        before = runs()
        alias = f"{stack.mlflow_url}/api/2.0/mlflow/registered-models/alias"
        champion = {"name": NAME, "alias": "champion"}
        asked: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("GET", alias, {"params": champion}),
            ("POST", alias, {"json": {"name": NAME, "alias": "strangers", "version": "1"}}),
            ("DELETE", alias, {"json": champion}),
            ("GET", f"{stack.prefect_url}/deployments/{deployment}", {}),
            ("POST", f"{stack.prefect_url}/deployments/{deployment}/create_flow_run", {"json": {}}),
        )
        for auth in (None, (stack.guard.user, "wrong"), ("nobody", "wrong")):
            for method, url, more in asked:
                answer = httpx.request(method, url, auth=auth, timeout=60, **more)
                assert (auth, method, url, answer.status_code) == (auth, method, url, 401)
        assert runs() == before
    assert facts(guarded) == known


def test_a_reader_of_mlflow_cannot_promote(guarded: Guarded, night: Night) -> None:
    ended, known = night.ended["reader"], facts(guarded)
    assert ended.code == 2
    assert "MLflow answered 403; check MLFLOW_TRACKING_USERNAME" in ended.said
    with client_of({**guarded.variables, **night.reader}):
        client = MlflowClient(guarded.stack.mlflow_url)
        assert client.get_model_version_by_alias(NAME, "champion").version == "1"
        with pytest.raises(MlflowException, match="Permission denied"):
            client.set_registered_model_alias(NAME, "champion", "1")
        with pytest.raises(MlflowException, match="Permission denied"):
            client.delete_registered_model_alias(NAME, "champion")
    assert facts(guarded) == known
    assert known["aliases"] == {"champion": "1"}
    assert (len(known["ledger"]), len(known["versions"])) == (1, 1)


def test_real_servers_refuse_what_the_doctor_asks_as_a_stranger(guarded: Guarded) -> None:
    with client_of(guarded.variables):
        found = list(doors(load_place(), guarded.stack.prefect_url))
    assert [(door.service, door.is_near, door.is_open) for door in found] == [
        ("prefect", True, False), ("mlflow", True, False), ("store", True, False),
    ]  # fmt: skip


def facts(guarded: Guarded) -> dict[str, Any]:
    """All that nobody without a password may change."""
    with client_of(guarded.variables):
        mlflow.set_tracking_uri(guarded.stack.mlflow_url)
        client, store = MlflowClient(), load_place().open()
        model = client.get_registered_model(NAME)
        versions = client.search_model_versions(f"name='{NAME}'")
        return {
            "aliases": dict(model.aliases),
            "tags": dict(model.tags),
            "versions": [(v.version, dict(v.tags)) for v in versions],
            "ledger": {key: store.read(key) for key in store.list("ledger")},
            "decisions": sorted(store.list("decisions")),
        }


def new_reader(guarded: Guarded) -> dict[str, str]:
    """The variables of another user of MLflow, who may read."""
    name, password = f"user-{uuid4().hex[:8]}", uuid4().hex
    guarded.ask_mlflow("2.0/mlflow/users/create", username=name, password=password)
    return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}
