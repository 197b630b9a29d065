"""Variables become a place, and what is secret in them stays out of it."""

import os
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError

from flows.deploy import job_variables
from flows.form import schema_of
from flows.recipe import RecipeError, parse_recipe
from flows.retrain import retrain
from flows.settings import SettingsError, load_place
from records.address import holds_userinfo
from tasks.place import Place

SECRET = "do-not-show-me"


def test_a_server_s_password_moves_to_mlflow_s_own_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that it is restored
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://ann:{SECRET}%2F@mlflow.example/team")
    place = load_place()
    assert place.tracking_uri == os.environ["MLFLOW_TRACKING_URI"] == "https://mlflow.example/team"
    assert not place.is_tracking_embedded
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == f"{SECRET}/"


def test_a_database_s_password_stays_where_only_mlflow_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"postgresql+psycopg2://ann:{SECRET}@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert load_place().tracking_uri == "postgresql+psycopg2://db/mlflow"
    assert os.environ["MLFLOW_TRACKING_URI"] == uri


def test_secrets_in_addresses_are_refused_all_at_once_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFIT_STORE", f"s3://ann:{SECRET}@bucket/store")
    monkeypatch.setenv("REFIT_S3_ENDPOINT_URL", f"https://ann:{SECRET}@s3.example")
    monkeypatch.setenv("PREFECT_API_URL", f"https://ann:{SECRET}@prefect.example/api")
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY") as caught:
        load_place()
    said = str(caught.value)
    assert [line.split()[0] for line in said.splitlines()] == [
        "REFIT_STORE", "REFIT_S3_ENDPOINT_URL", "PREFECT_API_URL",
    ]  # fmt: skip
    assert SECRET not in said


@pytest.mark.parametrize("field", ["store_uri", "s3_endpoint_url", "tracking_uri"])
def test_no_place_holds_a_secret(field: str) -> None:
    values = {"home": "/h", "store_uri": "/h/store", "tracking_uri": "sqlite:///h/mlflow.db"}
    with pytest.raises(ValidationError, match="holds a name or password") as caught:
        Place(**{**values, field: f"https://ann:{SECRET}@host"})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_recipe_with_secrets_is_refused_and_does_not_show_them() -> None:
    values = {
        "name": "a", "data": {"train": f"s3://ann:{SECRET}@b/a.csv", "test": "b.csv"},
        "base": {"model": f"https://ann:{SECRET}@hub/m", "revision": 5}, "gate": {"minimum": 0.5},
    }  # fmt: skip
    with pytest.raises(RecipeError, match="boto3 and the hub take their own variables") as caught:
        parse_recipe(values)
    assert SECRET not in str(caught.value)
    assert [problem.partition(":")[0] for problem in caught.value.problems[:2]] == [
        "data.train", "base.model",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("section", "value", "place"),
    [
        ("data", {"train": ["s3://b/a.csv", f"https://ann:{SECRET}@host/b.csv"], "test": "t.csv"},
         "data.train.1"),
        ("base", {"candidates": ["org/a", {"model": f"https://ann:{SECRET}@hub/m"}]},
         "base.candidates.1.model"),
        ("base", {"candidates": [[f"s3://{SECRET}@b/m"]]}, "base.candidates.0.0"),
        ("data", {"rename_labels": {f"https://ann:{SECRET}@host": "good"}},
         "data.rename_labels.https://host"),
        ("notes", [{"see": f"https://ann:{SECRET}@host"}], "notes.0.see"),
    ],
)  # fmt: skip
def test_a_recipe_with_secrets_in_lists_and_below_is_refused_and_does_not_show_them(
    section: str, value: object, place: str
) -> None:
    values = {"name": "a", "data": {"source": "a.csv"}, "gate": {"minimum": 0.5}, section: value}
    with pytest.raises(RecipeError, match=f"{place}: holds a name or password") as caught:
        parse_recipe(values)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        f"data.train=[s3://b/a.csv, 's3://ann:{SECRET}@b/c.csv']",
        f"data.train=[s3://ann:{SECRET}@b/c.csv",
        f"https://ann:{SECRET}@host/c.csv",
        f"name.first=https://ann:{SECRET}@host",
    ],
)
def test_an_override_with_a_secret_is_not_shown(override: str) -> None:
    values = {"name": "a", "data": {"source": "a.csv"}, "gate": {"minimum": 0.5}}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(values, [override])
    assert SECRET not in str(caught.value)


def test_a_form_takes_no_secret_that_prefect_would_show_among_the_parameters() -> None:
    field = schema_of(retrain.fn)["properties"]["data"]
    for text in (f"s3://ann:{SECRET}@b/a.csv", f"hf://ann:{SECRET}@imdb", f"s3://{SECRET}@b/c"):
        assert holds_userinfo(text)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(text, field)
    for text in ("s3://b/a@b.csv", "hf://imdb@0f5c", "/data/ann@work.csv", "sample:reviews"):
        assert not holds_userinfo(text)
        jsonschema.validate(text, field)


def test_a_recipe_that_names_a_secret_of_the_environment_does_not_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    named = (
        "${AWS_SECRET_ACCESS_KEY}",
        "$AWS_SECRET_ACCESS_KEY",
        "{{ env.AWS_SECRET_ACCESS_KEY }}",
    )
    for text in named:
        recipe = parse_recipe(
            {"name": "a", "description": text, "data": {"source": f"/data/{text}.csv"},
             "base": {"model": f"/models/{text}"}, "gate": {"minimum": 0.5}},
        )  # fmt: skip
        assert (recipe.description, recipe.data.source) == (text, f"/data/{text}.csv")
        assert SECRET not in recipe.model_dump_json()


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch brings GNU OpenMP on Linux only")
@pytest.mark.parametrize(
    ("yours", "spins"),
    [({}, "15000"), ({"GOMP_SPINCOUNT": "300"}, "300"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_threads_of_two_trainings_do_not_spin_for_long(
    yours: dict[str, str], spins: str, tmp_path: Path
) -> None:
    kept = {n: v for n, v in os.environ.items() if n not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    told = subprocess.run(
        [sys.executable, "-c", "from deployments.options import prepare; prepare(); import torch"],
        env={**kept, **yours, "OMP_DISPLAY_ENV": "VERBOSE", "REFIT_HOME": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in told.stderr


def test_runs_of_deployments_do_not_spin_for_long_either() -> None:
    assert job_variables("")["env"]["GOMP_SPINCOUNT"] == "15000"
