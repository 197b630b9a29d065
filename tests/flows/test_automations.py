"""What a deployment's automations do, on a real Prefect server: who is told what, what starts a run.

Runs are moved from state to state by the API, as a worker would, so that nothing is trained.
"""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.blocks.abstract import NotificationError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Suspended

from deployments.local.processes import Processes, free_port
from deployments.local.servers import start_prefect
from flows.automations import DeployError, block_for
from flows.deploy import deploy
from flows.pools import ensure_pool
from flows.recipe import Recipe, parse_recipe
from flows.settings import clean_environment
from flows.streak import tell_streak
from flows.watch import find_news
from records.live import LivePolicy
from tasks import watch
from tasks.live import report_metric
from tasks.orchestrator import NoServer, refusals_in_a_row, send_event
from tasks.place import Place
from tests import waiting
from tests.champions import NAME, champion_store
from tests.client_of import client_of
from tests.receiver import Receiver, receiving
from tests.tiny import write_csv

pytestmark = [pytest.mark.slow]
wait_for = partial(waiting.wait_for, limit_s=120.0)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of one's own: the temporary ones run no automations."""
    home = tmp_path_factory.mktemp("events")
    with Processes(home) as processes:
        database = f"sqlite+aiosqlite:///{home / 'prefect.db'}"
        url = start_prefect(processes, free_port(), database, home, clean_environment())
        quiet = {PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}  # tasks outside a flow
        with client_of({"PREFECT_API_URL": url}), temporary_settings(quiet):
            ensure_pool("refit")
            yield url


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def recipe(name: str, **changes: Any) -> Recipe:
    values = {"name": name, "data": {"source": "rows.csv"}, "gate": {"minimum": 0.8}}
    return parse_recipe({**values, **changes})


def deployed(made: Recipe) -> UUID:
    """The retrain deployment's id."""
    deploy(made, pool="refit", environment="local")
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"retrain/{made.name}-local").id


def run_through(deployment: UUID, *states: State[Any]) -> str:
    """A run that enters those states; returns its id."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment)
        for state in states:
            client.set_flow_run_state(run.id, state, force=True)
    return str(run.id)


def runs_of(deployment: UUID) -> list[FlowRun]:
    own = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    with get_client(sync_client=True) as client:
        return list(client.read_flow_runs(deployment_filter=own))


@pytest.fixture
def told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """The receiver, empty, where notifications go."""
    receiver.received.clear()
    monkeypatch.setenv("REFIT_NOTIFY_URL", receiver.url)
    return receiver


def test_each_occasion_is_told_in_one_line_with_one_link(events: str, told: Receiver) -> None:
    other = deployed(recipe("other", notify={"on": []}))
    deployment = deployed(recipe("told"))
    run_through(other, Completed(name="Promoted", message="of a recipe that tells nothing"))
    said = {
        run_through(deployment, Running(), state): line
        for state, line in (
            (Completed(name="Promoted", message="Promote: 0.93\nagainst 0.91."),
             "Promoted: 0.93 against 0.91."),
            (Completed(name="Promoted", message="Promote as the first champion: 0.9."),
             "Promoted as the first champion: 0.9."),
            (Completed(name="Refused", message="Refused, shown worse: champion."),
             "Refused, shown worse: champion."),
            (Completed(name="Declined"), "Declined"),
            (Completed(name="Data refused", message="Empty."), "Data refused: Empty."),
            (Crashed(message="killed"), "Crashed: killed"),
            (Failed(message="no S3"), "Failed: no S3"),
            (Suspended(timeout_seconds=3600),
             "Waiting for approval: the gate agrees, a person has the last word"),
        )
    }  # fmt: skip
    quiet = run_through(deployment, Running(), Completed(name="Unchanged"))
    wait_for(lambda: len(told.received) >= len(said))
    time.sleep(2)  # what else would come, comes
    ui = events.removesuffix("/api")
    assert {one["text"] for one in told.received} == {
        f"told: {line} {ui}/runs/flow-run/{run_id}" for run_id, line in said.items()
    }
    assert {(one["subject"], one["path"]) for one in told.received} == {
        ("refit told", "/hook?token=s3cret")
    }
    assert all(quiet not in one["text"] for one in told.received)


def test_the_address_is_nowhere_to_be_read(events: str, told: Receiver) -> None:
    deployed(recipe("told"))
    with get_client(sync_client=True) as client:
        block = client.read_block_document_by_name("refit", "slack-webhook", include_secrets=False)
        automations = client.read_automations()
    assert "s3cret" not in block.model_dump_json()
    assert all("s3cret" not in a.model_dump_json() for a in automations)


@pytest.mark.parametrize(
    "query", ["?token=s3cret", "?sig=a%2Bb%3D%3D&sp=%2Fmanual%2Frun&v=1.0&empty=", ""]
)
def test_a_webhook_is_called_by_its_very_address(query: str) -> None:
    with receiving() as receiver:
        path = f"/services/T0/x+y~z{query}"
        block_for(f"http://127.0.0.1:{receiver.server_port}{path}").notify("a: b", "refit a")  # type: ignore[attr-defined]
    assert receiver.received == [{"path": path, "text": "a: b", "subject": "refit a"}]


def test_the_address_of_a_webhook_that_fails_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Prefect's server logs what the block raises, and keeps it with the automation's event."""
    with receiving("s3cret", status=500) as receiver:
        block = block_for(receiver.url)
        with block.raise_on_failure(), pytest.raises(NotificationError) as caught:
            block.notify("a: b", "refit a")
    assert len(receiver.received) == 1
    assert "error=500" in caught.value.log
    assert "s3cret" not in caught.value.log + str(caught.value) + caplog.text


def test_deployed_again_nothing_is_told_twice_and_off_is_off(events: str, told: Receiver) -> None:
    title = "refit: tells of retrain/twice-local"
    for _ in range(2):
        deployed(recipe("twice"))
    with get_client(sync_client=True) as client:
        assert len(client.read_automations_by_name(title)) == 1
        deployed(recipe("twice", notify={"on": []}))
        assert client.read_automations_by_name(title) == []


def test_a_block_that_is_not_there_and_an_address_that_is_none_are_refused(events: str) -> None:
    with pytest.raises(DeployError, match=r"notify.block 'slack-webhook/ops' is not on this"):
        deployed(recipe("ops", notify={"block": "slack-webhook/ops"}))
    with pytest.raises(DeployError, match="REFIT_NOTIFY_URL is no address") as caught:
        block_for("nothing://s3cret")
    assert "s3cret" not in str(caught.value)
    assert block_for("mailto://ann:pass@example.com").get_block_type_slug() == "slack-webhook"


def test_refusals_are_counted_back_to_the_last_promotion(events: str) -> None:
    deployment = deployed(recipe("stale"))
    assert refusals_in_a_row(str(deployment)) == 0
    for name in ("Refused", "Promoted", "Refused", "Unchanged", "Data refused", "Declined"):
        run_through(deployment, Running(), Completed(name=name))
    run_through(deployment, Running(), Failed())
    assert refusals_in_a_row(str(deployment)) == 3


def test_a_row_of_refusals_is_told_once(
    events: str, told: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe("row", notify={"on": ["refused_in_a_row"]})
    deployment = deployed(made)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(deployment))
    ids = []
    for outcome in ("refused", "data_refused", "unchanged", "declined", "refused"):
        with get_client(sync_client=True) as client:
            ids.append(str(client.create_flow_run_from_deployment(deployment).id))
            monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", ids[-1])
            tell_streak(made.notify, made.name, outcome)  # as the flow does before it ends
            name = outcome.replace("_", " ").capitalize()
            client.set_flow_run_state(UUID(ids[-1]), Running(), force=True)
            client.set_flow_run_state(UUID(ids[-1]), Completed(name=name), force=True)
    wait_for(lambda: told.received)
    time.sleep(1)
    said = "Refused in a row: no promotion in 3 decisions, all refused"
    ui = events.removesuffix("/api")
    assert [one["text"] for one in told.received] == [f"row: {said} {ui}/runs/flow-run/{ids[3]}"]


def test_only_a_fall_that_lasts_starts_a_run(events: str, tmp_path: Path) -> None:
    policy = LivePolicy(max_drop=0.1, num_reports=3)
    deployment = deployed(recipe(NAME, live=policy.model_dump()))
    store = champion_store(tmp_path / "store")  # accuracy 0.955
    values = 0.80, 0.90, 0.90, 0.90, 0.80, 0.80, 0.90, 0.80, 0.80, 0.80, 0.80
    said = [report_metric(store, NAME, v, actor="probe", policy=policy)[1] for v in values]
    assert [judged.is_fall for judged in said] == [False] * 9 + [True, False]
    wait_for(lambda: runs_of(deployment))
    time.sleep(1)
    (run,) = runs_of(deployment)
    assert run.parameters["reason"] == "live metric fell"


def test_written_objects_start_a_look_and_new_data_a_run(events: str) -> None:
    made = recipe("fed", watch={})
    deployment = deployed(made)
    with get_client(sync_client=True) as client:
        look = client.read_deployment_by_name("watch/fed-local")
        for schedule in look.schedules:
            client.delete_deployment_schedule(look.id, schedule.id)
    send_event(watch.WRITTEN, watch.resource_id("fed"), "fed", {})
    wait_for(lambda: [run for run in runs_of(look.id) if not run.auto_scheduled])
    assert runs_of(deployment) == []
    send_event(watch.EVENT, watch.resource_id("fed"), "fed", {})
    (run,) = wait_for(lambda: runs_of(deployment))
    assert run.parameters["reason"] == "new data"


def test_a_look_announces_enough_new_rows_once_and_reads_none_where_nothing_changed(
    events: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows" / "a.csv"
    rows.parent.mkdir()
    made = recipe(
        "looked", data={"source": str(rows.parent)}, watch={"settle_s": 0.05, "min_new_rows": 10}
    )
    deployment = deployed(made)
    home = str(tmp_path / "home")
    place = Place(home=home, store_uri=f"{home}/store", tracking_uri="sqlite:///unused")
    said = []
    for num_rows in (50, 50, 55, 105):
        write_csv(rows, num_rows=num_rows)
        said.append(find_news(place, made))
    assert said == ["new", "none", "too few", "new"]
    with monkeypatch.context() as patch:
        patch.setattr("flows.watch.ingest", None)  # nobody reads a row
        assert find_news(place, made) == "none"
    wait_for(lambda: len(runs_of(deployment)) == 2)
    asked_otherwise = recipe("looked", data={"source": str(rows)}, watch={"settle_s": 0})
    assert find_news(place, asked_otherwise) == "none", "read again, and the same rows"


def test_news_that_found_another_run_going_on_are_announced_again_once_it_has_ended(
    events: str, tmp_path: Path
) -> None:
    rows = tmp_path / "rows" / "a.csv"
    rows.parent.mkdir()
    watched = {"settle_s": 0.05, "min_new_rows": 10}
    made = recipe("crowded", data={"source": str(rows.parent)}, watch=watched)
    deployment = deployed(made)
    home = str(tmp_path / "home")
    place = Place(home=home, store_uri=f"{home}/store", tracking_uri="sqlite:///unused")
    write_csv(rows, num_rows=50)
    assert find_news(place, made) == "new"
    (first,) = wait_for(lambda: runs_of(deployment))
    with get_client(sync_client=True) as client:
        for state in (Pending(), Running()):
            client.set_flow_run_state(first.id, state)
        write_csv(rows, num_rows=100)
        assert find_news(place, made) == "new"
        second = wait_for(lambda: [r for r in runs_of(deployment) if r.id != first.id])[0]
        client.set_flow_run_state(second.id, Pending())
        assert client.read_flow_run(second.id).state.is_cancelled()
        assert find_news(place, made) == "none", "the first one goes on"
        client.set_flow_run_state(first.id, Completed())
        assert find_news(place, made) == "new"
        third = wait_for(
            lambda: [r for r in runs_of(deployment) if r.id not in (first.id, second.id)]
        )[0]
        assert find_news(place, made) == "none", "a run is waiting for a worker"
        client.set_flow_run_state(third.id, Cancelled(message="by a person"))
    assert find_news(place, made) == "none", "what a person cancelled stays cancelled"


def test_a_look_waits_until_the_files_stand_still(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    place = Place(home=home, store_uri=f"{home}/store", tracking_uri="sqlite:///unused")
    rows, stop = tmp_path / "rows.csv", threading.Event()

    def arrive() -> None:
        while not stop.is_set():
            with rows.open("a") as file:
                file.write("a line\n")
            time.sleep(0.01)

    rows.touch()
    writer = threading.Thread(target=arrive)
    writer.start()
    data = recipe("arriving", data={"source": str(rows)}).data
    try:
        assert watch.look.fn(place, "arriving", data, 1, 0.1)[1] == "arriving"
    finally:
        stop.set()
        writer.join()
    assert watch.look.fn(place, "arriving", data, 1, 0.1)[1] == "changed"


def test_an_event_without_a_server_is_told() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(NoServer, match="no Prefect server is named"),
    ):
        send_event(watch.EVENT, "refit.data.x", "x", {})
    with (
        client_of({"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}),
        pytest.raises(ConnectionError, match="did not take the event"),
    ):
        send_event(watch.EVENT, "refit.data.x", "x", {})
