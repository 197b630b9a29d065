"""The schedule, a person in Prefect's pages, and whoever looks a model up in MLflow: all at home.

On what production has: PostgreSQL, S3, a Prefect server, an MLflow server and a worker.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from deployments.local.processes import Child
from deployments.local.stack import Stack, s3_settings
from deployments.up import POOL, deploy_all
from flows.recipe import Recipe, parse_recipe
from tasks.ledger import verify
from tasks.store import open_store
from tests.client_of import client_of
from tests.pictures import picture
from tests.receiver import Receiver, receiving
from tests.tiny import write_csv
from tests.waiting import wait_for
from tests.world import World

pytest_plugins = ["tests.worlds", "tests.browser"]
pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(1800)]

NAME = "home"
RUN_LIMIT_S = 600.0
"""A run takes 20 s alone on two cores; beside other heavy work, minutes."""
EVERY_S = 5.0
STARTED_WITHIN_S = 15.0
"""From the end of an upload to the run that it starts, on an idle machine."""
SENTENCES = {
    "make the alias in MLflow follow the ledger", "read the rows", "check and split the rows",
    "verify the base model", "fine-tune the challenger",
    "score challenger and champion on the same items", "decide whether to promote or to refuse",
    "make the challenger the new champion", "write the report",
}  # fmt: skip
"""What the tasks of a promotion are called on the page of its run."""
TRIES = 12
TRY_MS, LONG_TRY_MS = 5_000, 30_000


def asked(stack: Stack, path: str, **body: Any) -> Any:
    """Prefect's own API, as any client asks it."""
    return (
        httpx.post(f"{stack.prefect_url}/{path}", json=body, timeout=30).raise_for_status().json()
    )


def recipe(folder: Path, files: Path, **changes: Any) -> Recipe:
    values = World(folder, files).first_recipe().model_dump(mode="json", exclude_defaults=True)
    return parse_recipe({**values, "name": NAME, **changes})


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    """Where this module's deployments send their notifications."""
    with receiving() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_NOTIFY_URL", receiver.url)
        yield receiver


@pytest.fixture(scope="module")
def scheduled(
    real_stack: Stack,
    worker: Child,
    files: Path,
    tmp_path_factory: pytest.TempPathFactory,
    told: Receiver,
) -> list[dict[str, Any]]:
    """The first three runs of a deployment that runs every five seconds, oldest first.

    Afterwards the same recipe is deployed without a schedule.
    """
    folder = tmp_path_factory.mktemp("scheduled")
    with client_of(real_stack.environment()):
        every = {"every_s": EVERY_S}
        deploy_all([recipe(folder, files, schedule=every)], POOL, "local")

        def ended() -> list[dict[str, Any]]:
            wanted = {"name": {"any_": [f"retrain {NAME}"]},
                      "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}  # fmt: skip
            found: list[dict[str, Any]] = asked(
                real_stack, "flow_runs/filter", flow_runs=wanted, sort="START_TIME_ASC"
            )
            assert all(run["state_type"] == "COMPLETED" for run in found), found
            return found[:3] if len(found) >= 3 else []

        runs = wait_for(ended)
        deploy_all([recipe(folder, files)], POOL, "local")
        wait_for(lambda: not open_runs(real_stack, f"{NAME}-local"))
    return runs


def open_runs(stack: Stack, deployment: str) -> Any:
    """Runs that still wait or go on: what was due before its schedule was taken away."""
    return asked(
        stack, "flow_runs/filter", deployments={"name": {"any_": [deployment]}},
        flow_runs={"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}},
    )  # fmt: skip


def test_a_schedule_promotes_once_and_then_has_nothing_to_do(
    scheduled: list[dict[str, Any]], real_stack: Stack
) -> None:
    assert [run["state_name"] for run in scheduled] == ["Promoted", "Unchanged", "Unchanged"]
    assert {run["auto_scheduled"] for run in scheduled} == {True}
    begun, ended = ([run[k] for run in scheduled] for k in ("start_time", "end_time"))
    follows = [next_ > last for next_, last in zip(begun[1:], ended[:-1], strict=True)]
    assert follows == [True, True], "two runs of one recipe never overlap"
    assert real_stack.s3 is not None
    store = open_store(real_stack.store_uri, s3_settings(real_stack.s3))
    assert verify(store, NAME) == []
    entry = json.loads(store.read(f"ledger/{NAME}/000000000001.json"))
    assert list(store.list(f"ledger/{NAME}")) == [f"ledger/{NAME}/000000000001.json"]
    found = champion(real_stack)
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert (found["version"], tags["refit.model_digest"]) == ("1", entry["model_digest"])


def champion(stack: Stack) -> dict[str, Any]:
    """What MLflow's own API says of the alias."""
    found: dict[str, Any] = asked_alias(stack, NAME).raise_for_status().json()["model_version"]
    return found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)  # else five seconds, which a busy machine may take
    yield tab
    tab.close()


def open_form(page: Page, stack: Stack, flow: str) -> None:
    """From the list of deployments to the form of a custom run, by clicks."""
    page.goto(f"{stack.prefect_ui}/v2/deployments")
    page.get_by_role("link", name=f"{NAME}-local").first.wait_for()
    picture(page, "deployments")
    address = f"{stack.prefect_url}/deployments/name/{flow}/{NAME}-local"
    page.goto(f"{stack.prefect_ui}/v2/deployments/deployment/{httpx.get(address).json()['id']}")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()


def test_a_person_runs_it_with_one_change_and_reads_the_decision(
    scheduled: list[dict[str, Any]], real_stack: Stack, page: Page, told: Receiver
) -> None:
    open_form(page, real_stack, "retrain")
    page.get_by_label("Epochs").fill("0")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("less than or equal to the minimum of 0").first).to_be_visible()
    picture(page, "form-mistake")
    change = {"Epochs": "11", "Your name": "Ann", "Reason": "one more epoch"}
    fill(page, change)
    page.mouse.move(5, 5)  # a message under the pointer stays
    with suppress(PlaywrightTimeout):  # for the picture alone
        mistake = page.get_by_text("0 is less than or equal to the minimum of 0", exact=True)
        mistake.wait_for(state="hidden", timeout=LONG_TRY_MS)
        page.get_by_text("Error creating flow run").wait_for(state="hidden", timeout=LONG_TRY_MS)
    picture(page.locator("main").first, "form")
    submit(page, change)
    page.get_by_role("button", name="View run").click()
    verdict = page.get_by_text("Promoted", exact=True).first
    expect(verdict).to_be_visible(timeout=RUN_LIMIT_S * 1000)
    expect(page.get_by_text("rows in").first).to_be_visible()  # the rooms' own log
    picture(page, "run")
    run_id = page.url.partition("/flow-run/")[2][:36]
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text(f"{NAME}-decision").first.click()
    # The list of the run stays for a moment, and its first link may be the training's progress.
    page.wait_for_url(f"**/artifacts/key/{NAME}-decision*")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    expect(
        page.get_by_role("heading", name=f"{NAME} version 2 is the new champion")
    ).to_be_visible()
    picture(page, "decision")
    report = page.get_by_role("link", name="Whole report").get_attribute("href")
    assert report
    page.get_by_role("link", name="Model in production").click()
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible()
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_text("refit.train_key").first).to_be_visible()
    assert page.get_by_role("link", name="Whole report").get_attribute("href") == report
    picture(page, "mlflow-version")
    page.goto(report)
    framed = page.frame_locator("iframe").first
    expect(framed.get_by_text("is the new champion").first).to_be_visible()
    picture(page, "report")
    found = champion(real_stack)
    assert found["version"] == "2"
    assert {"key": "refit.report", "value": report} in found["tags"]
    assert_progress_and_names(real_stack, run_id)
    said = f"{NAME}: Promoted: accuracy "
    wait_for(lambda: [one for one in told.received if one["text"].startswith(said)], 120)


def assert_progress_and_names(stack: Stack, run_id: str) -> None:
    """The bar of a training came to its end, and each step says what it does."""
    of_run = {"id": {"any_": [run_id]}}
    bars = asked(
        stack, "artifacts/filter", flow_runs=of_run, artifacts={"type": {"any_": ["progress"]}}
    )
    assert [bar["data"] for bar in bars] == [100.0]
    assert "loss" in bars[0]["description"]
    steps = wait_for(lambda: finished_steps(stack, of_run))
    assert steps == SENTENCES


def finished_steps(stack: Stack, of_run: dict[str, Any]) -> set[str]:
    """Names of the run's tasks once all are told as completed; rows come a little later."""
    tasks = asked(stack, "task_runs/filter", flow_runs=of_run)
    is_told = len(tasks) > len(SENTENCES) and all(t["state_type"] == "COMPLETED" for t in tasks)
    return {task["name"] for task in tasks} if is_told else set()


def test_a_person_rolls_back_by_a_form_that_needs_a_reason(
    scheduled: list[dict[str, Any]], real_stack: Stack, page: Page
) -> None:
    open_form(page, real_stack, "rollback")
    page.get_by_label("Reason").wait_for()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Validation failed").first).to_be_visible()
    picture(page, "rollback-mistake")
    submit(page, {"Reason": "complaints from the shop"})
    page.get_by_role("button", name="View run").click()
    verdict = page.get_by_text("Rolled back", exact=True).first
    expect(verdict).to_be_visible(timeout=RUN_LIMIT_S * 1000)
    assert champion(real_stack)["version"] == "1"


def test_a_person_approves_in_prefect_what_the_gate_agreed_to(
    real_stack: Stack, worker: Child, page: Page, files: Path, tmp_path: Path
) -> None:
    """With a name of its own: the rollback before holds promotions of the other."""
    values = recipe(tmp_path, files).model_dump(mode="json", exclude_defaults=True)
    gate = {**values["gate"], "approval": "required"}
    asking = parse_recipe({**values, "name": "asking", "gate": gate})
    with client_of(real_stack.environment()):
        deploy_all([asking], POOL, "local")
    deployment = f"{real_stack.prefect_url}/deployments/name/retrain/asking-local"
    started = asked(real_stack, f"deployments/{httpx.get(deployment).json()['id']}/create_flow_run")
    wait_for(lambda: is_asking(real_stack, started["id"]))
    assert asked_alias(real_stack, "asking").status_code == 404
    page.goto(f"{real_stack.prefect_ui}/v2/runs/flow-run/{started['id']}")
    expect(page.get_by_text("Suspended", exact=True).first).to_be_visible(timeout=60_000)
    form = open_approval(page)
    form.get_by_role("button", name="Select").click()
    page.get_by_role("option", name="approve").click()
    form.get_by_label("Your name").fill("Ann Lee")
    form.get_by_label("Reason").fill("read the report")
    picture(page, "approval")
    resume = form.get_by_role("button", name="Resume")
    until_gone(form, lambda: resume.click(timeout=TRY_MS), TRY_MS)
    ended = wait_for(lambda: over(real_stack, started["id"]))
    assert ended["state_name"] == "Promoted", ended["state"]
    assert asked_alias(real_stack, "asking").status_code == 200
    expect(page.get_by_text("Promoted", exact=True).first).to_be_visible(timeout=60_000)
    picture(page, "approved")


def is_asking(stack: Stack, run_id: str) -> bool:
    """Whether the run is suspended and its form is there, which Prefect saves a moment later.

    A form opened in between has no fields.
    """
    run = read_run(stack, run_id)
    assert run["state_type"] not in ("FAILED", "CRASHED", "CANCELLED", "COMPLETED"), run["state"]
    if run["state_type"] != "PAUSED":
        return False
    keys = run["state"]["state_details"]["run_input_keyset"].values()
    saved = asked(stack, f"flow_runs/{run_id}/input/filter", prefix="", limit=200)
    # Prefect writes the description last.
    return {one["key"] for one in saved} >= {key for key in keys if not key.endswith("response")}


def over(stack: Stack, run_id: str) -> dict[str, Any] | None:
    """The run, once it has ended in whatever state."""
    run = read_run(stack, run_id)
    return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None


def read_run(stack: Stack, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stack.prefect_url}/flow_runs/{run_id}", timeout=30).json()
    return found


def open_approval(page: Page) -> Locator:
    """The form of an approval, by keyboard, since the graph's canvas can lie over the button.

    The page is drawn anew every few seconds, which shuts its menu.
    """
    form = page.get_by_role("dialog")
    menu = page.get_by_role("button", name="Open menu").first  # others are of task runs
    item = page.get_by_role("menuitem", name="Resume")
    for _ in range(TRIES):
        try:
            if not item.is_visible():
                menu.press("Enter", timeout=TRY_MS)
            item.press("Enter", timeout=TRY_MS)
            form.get_by_text("Waiting for approval").first.wait_for(timeout=TRY_MS)
        except PlaywrightTimeout:
            page.keyboard.press("Escape")
            continue
        return form
    raise AssertionError("the form of the approval does not open")


def fill(page: Page, fields: dict[str, str]) -> None:
    """Type each text under its label, also where it stands there already, unheard."""
    for label, text in fields.items():
        page.get_by_label(label).fill("", timeout=TRY_MS)
        page.get_by_label(label).fill(text, timeout=TRY_MS)


def submit(page: Page, fields: dict[str, str]) -> None:
    """Until Prefect took it: what is typed while the form is drawn anew is lost."""
    button = page.get_by_role("button", name="Submit")

    def act() -> None:
        fill(page, fields)
        button.click(timeout=TRY_MS)

    until_gone(button, act, LONG_TRY_MS)


def until_gone(what: Locator, act: Callable[[], None], try_ms: float) -> None:
    """Act until it is gone: what meets a page that moves, or is not yet awake, is lost."""
    for _ in range(TRIES):
        with suppress(PlaywrightTimeout):
            act()
            what.wait_for(state="hidden", timeout=try_ms)
        if not what.is_visible():
            return
    raise AssertionError(f"still there: {what.inner_text()}")


def asked_alias(stack: Stack, name: str) -> httpx.Response:
    address = f"{stack.mlflow_url}/api/2.0/mlflow/registered-models/alias"
    return httpx.get(address, params={"name": name, "alias": "champion"})


def test_new_rows_start_a_run_and_nothing_else_does(
    real_stack: Stack, worker: Child, files: Path, tmp_path: Path
) -> None:
    """Too few rows to train on, so that the runs which are started end at once."""
    assert real_stack.s3 is not None
    store = open_store("s3://refit/fed", s3_settings(real_stack.s3))
    for name, first in {"test.csv": 5000, "train/a.csv": 0}.items():
        store.upload(name, write_csv(tmp_path / "rows.csv", num_rows=50, first=first))
    data = {"train": "s3://refit/fed/train/", "test": "s3://refit/fed/test.csv"}
    watched = {"every_s": EVERY_S, "min_new_rows": 10, "settle_s": 1}
    fed = recipe(tmp_path, files, name="fed", data=data, watch=watched)
    looks, runs = "look for new data of fed", "retrain fed"
    with client_of(real_stack.environment()):
        deploy_all([fed], POOL, "local")
        wait_for(lambda: len(ended(real_stack, runs)) == 1)
        store.upload("train/few.csv", write_csv(tmp_path / "rows.csv", num_rows=5, first=60))
        wait_for(lambda: ended(real_stack, looks, "Waiting"))
        quiet = len(ended(real_stack, looks, "Nothing new"))
        wait_for(lambda: len(ended(real_stack, looks, "Nothing new")) > quiet)
        assert len(ended(real_stack, runs)) == 1, "five rows are no news"
        written = datetime.now(UTC)
        store.upload("train/b.csv", write_csv(tmp_path / "rows.csv", num_rows=50, first=100))
        wait_for(lambda: len(ended(real_stack, runs)) == 2)
        quiet = len(ended(real_stack, looks, "Nothing new"))
        wait_for(lambda: len(ended(real_stack, looks, "Nothing new")) > quiet)
        deploy_all([fed.model_copy(update={"watch": None})], POOL, "local")
    started = ended(real_stack, runs)
    assert [run["state_name"] for run in started] == ["Data refused", "Data refused"]
    assert {run["parameters"]["reason"] for run in started} == {"new data"}
    took_s = (datetime.fromisoformat(started[1]["created"]) - written).total_seconds()
    print(f"a run {took_s:.1f} s after the file was written, load {os.getloadavg()[0]:.1f}")
    assert took_s <= STARTED_WITHIN_S * slowness()


def slowness() -> float:
    """How many want each core: 1 on an idle machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def ended(stack: Stack, name: str, state: str = "") -> list[dict[str, Any]]:
    """Completed runs of that name, oldest first."""
    wanted = {"name": {"any_": [name]}, "state": {"type": {"any_": ["COMPLETED"]}}}
    if state:
        wanted["state"] = {"name": {"any_": [state]}}
    found: list[dict[str, Any]] = asked(
        stack, "flow_runs/filter", flow_runs=wanted, sort="START_TIME_ASC"
    )
    return found
