"""Recipes as deployments: what the server is told is what the flow takes."""

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
import yaml
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
)
from prefect.client.orchestration import get_client
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.states import Running, Suspended

from deployments.exits import UsageError
from deployments.prefect_file import FILE, POOLS, RECIPES, prefect_file
from deployments.up import load_recipes
from flows.deploy import AT_ONCE, deploy, deploy_services, deployments_of, schedules
from flows.form import changed
from flows.pools import ensure_pool
from flows.recipe import Recipe, RecipeError, parse_recipe

pytest_plugins = ["tests.worlds"]

ROOT = Path(__file__).parents[2]


def recipe(**changes: Any) -> Recipe:
    values = {"name": "tiny", "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8}}
    return parse_recipe({**values, **changes})


def written() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["deployments"]
    return found


def test_prefect_yaml_is_what_the_recipes_say() -> None:
    assert FILE.read_text("utf-8") == prefect_file(), "run `python -m deployments.prefect_file`"


def test_prefect_yaml_holds_only_what_prefect_reads() -> None:
    """Prefect skips what it does not know, so a typing error would be silent."""
    document = yaml.safe_load(FILE.read_text("utf-8"))
    assert set(document) <= set(PrefectYamlModel.model_fields) | {"prefect-version"}
    model = PrefectYamlModel.model_validate(document)
    assert len(model.deployments) == len(POOLS) * (2 * len(list(RECIPES.glob("*.yaml"))) + 2)
    for entry in written():
        assert set(entry) <= set(DeploymentConfig.model_fields)
        assert set(entry["concurrency_limit"]) <= set(ConcurrencyLimitSpec.model_fields)
        for schedule in entry["schedules"]:
            RawScheduleConfig.model_validate(schedule)


def test_every_entrypoint_imports_and_takes_its_parameters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # a run in an image starts wherever it is
    for entry in written():
        flow = load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False)
        required = {} if flow.name != "rollback" else {"reason": "complaints"}
        flow.validate_parameters({**entry["parameters"], **required})
        if "recipe" in entry["parameters"]:
            parse_recipe(entry["parameters"]["recipe"])


@pytest.mark.parametrize(
    "made", [d for r in load_recipes([RECIPES]) for d in deployments_of(r, "x")]
)
def test_a_module_entrypoint_is_the_flow_and_its_form_is_in_order(made: Any) -> None:
    module, _, name = made.entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow)
    fields = made.parameter_schema["properties"]
    positions = [field["position"] for field in fields.values()]
    assert positions == sorted(set(positions))
    assert all(field.get("title") and field.get("description") for field in fields.values())
    shown = {name: field["default"] for name, field in fields.items() if "default" in field}
    if flow.name == "rollback":
        shown["reason"] = "complaints"
    jsonschema.validate(shown, made.parameter_schema)
    flow.validate_parameters({**made.parameters, **shown})


def test_the_form_is_filled_in_by_the_recipe_and_hides_it() -> None:
    made = next(deployments_of(recipe(train={"epochs": 7}), "local"))
    fields = made.parameter_schema["properties"]
    assert "recipe" not in fields
    assert made.parameters["recipe"]["name"] == "tiny"
    assert (fields["epochs"]["default"], fields["epochs"]["exclusiveMinimum"]) == (7, 0)
    assert fields["mode"]["enum"] == ["promote", "dry run", "evaluate only"]
    with pytest.raises(jsonschema.ValidationError, match="1001"):
        jsonschema.validate({"epochs": 1001}, made.parameter_schema)


def test_what_the_form_asks_for_is_written_over_the_recipe() -> None:
    values = recipe().model_dump(mode="json")
    asked = {"data": "newer: {rows}.csv", "epochs": 2.5, "learning_rate": None}
    changed_recipe = parse_recipe(values, changed(values, **asked))
    assert (changed_recipe.data.source, changed_recipe.train.epochs) == ("newer: {rows}.csv", 2.5)
    given = {**values, "data": {"train": "a.csv", "test": "b.csv"}}
    assert parse_recipe(given, changed(given, data="c.csv")).data.train == "c.csv"


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ({}, "give one of cron, every_s and rrule, not none"),
        ({"cron": "0 3 * * *", "every_s": 60}, "not cron and every_s"),
        ({"cron": "0 3 * *"}, "needs five fields"),
        ({"cron": "61 3 * * *"}, "is no cron expression"),
        ({"cron": "0 3 * * *", "timezone": "Europe/Bonn"}, "is no IANA time zone"),
        ({"rrule": "FREQ=SOMETIMES"}, "is no RFC 5545 rule"),
        ({"every_s": 0.1}, "greater than or equal to 1"),
    ],
)
def test_a_schedule_with_a_mistake_is_refused(schedule: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        recipe(schedule=schedule)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"cron": "0 3 * * 1-5", "timezone": "Europe/Berlin"}, "cron='0 3 * * 1-5'"),
        ({"every_s": 90}, "seconds=90"),
        ({"rrule": "FREQ=DAILY;BYHOUR=3"}, "FREQ=DAILY"),
    ],
)
def test_a_schedule_becomes_prefects(schedule: dict[str, Any], expected: str) -> None:
    (made,) = schedules(recipe(schedule=schedule).schedule)
    assert expected in repr(made.schedule)
    assert made.schedule.timezone == schedule.get("timezone", "UTC")


def test_deploying_again_changes_nothing_and_a_schedule_can_be_taken_away(
    prefect_server: None,
) -> None:
    scheduled = recipe(schedule={"cron": "0 3 * * *"})
    ensure_pool("refit")
    ensure_pool("refit")
    names = [deploy(r, pool="refit", environment="local")
             for r in (scheduled, scheduled, recipe())]  # fmt: skip
    assert names[0] == names[1] == ("retrain/tiny-local", "rollback/tiny-local")
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name("retrain/tiny-local")
        assert found.schedules == []
        deploy(scheduled, pool="refit", environment="local")
        found = client.read_deployment_by_name("retrain/tiny-local")
        assert len(client.read_deployments()) == 2
    assert len(found.schedules) == 1
    assert found.global_concurrency_limit is not None
    assert found.global_concurrency_limit.limit == 1
    assert found.enforce_parameter_schema
    assert found.entrypoint == "flows.retrain.retrain"


def test_a_pool_lets_one_training_go_on_and_a_limit_stays_until_it_is_changed(
    prefect_server: None,
) -> None:
    def limit() -> int | None:
        found: int | None = client.read_work_queue(
            client.read_work_pool("counted").default_queue_id
        ).concurrency_limit
        return found

    with get_client(sync_client=True) as client:
        ensure_pool("counted")
        assert limit() == 1
        ensure_pool("counted", limit=3)
        ensure_pool("counted")
        assert limit() == 3


def test_no_training_holds_up_a_rollback_and_a_person_who_thinks_holds_up_no_training(
    prefect_server: None,
) -> None:
    def waiting() -> set[str]:
        """What a worker of this pool is given."""
        soon = datetime.now(UTC) + timedelta(seconds=5)
        found = client.get_scheduled_flow_runs_for_work_pool("busy", scheduled_before=soon)
        return {one.flow_run.name for one in found}

    def run(full_name: str, name: str, **parameters: str) -> UUID:
        deployment = client.read_deployment_by_name(full_name)
        made: UUID = client.create_flow_run_from_deployment(
            deployment.id, name=name, parameters=parameters
        ).id
        return made

    with get_client(sync_client=True) as client:
        ensure_pool("busy")
        deploy(recipe(name="one"), pool="busy", environment="busy")
        deploy(recipe(name="other"), pool="busy", environment="busy")
        deploy_services(pool="busy", environment="busy")
        going = run("retrain/one-busy", "going")
        run("retrain/other-busy", "next")
        run("rollback/one-busy", "mend", reason="complaints")
        assert len(waiting() & {"going", "next"}) == 1
        client.set_flow_run_state(going, Running(), force=True)
        assert "next" not in waiting()
        assert waiting() >= {"mend"}
        client.set_flow_run_state(going, Suspended(timeout_seconds=60), force=True)
        assert waiting() >= {"mend", "next"}
        for name in ("reconcile/busy", "reap/busy"):
            service = client.read_deployment_by_name(name)
            assert service.work_queue_name == AT_ONCE


def test_recipes_of_a_folder_are_all_judged_at_once(tmp_path: Path) -> None:
    good = yaml.safe_dump(recipe().model_dump(mode="json", exclude_defaults=True))
    for name, text in {"a": good, "b": good, "c": "name: x"}.items():
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"another recipe 'tiny'(.|\n)*gate: is required"):
        load_recipes([tmp_path])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="holds no recipe"):
        load_recipes([empty])
