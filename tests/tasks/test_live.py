"""Live metrics: what counts as a fall, and what does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from records.live import LivePolicy, Reported
from tasks import live
from tasks.live import LiveError, judge, report_metric
from tasks.orchestrator import NoServer
from tasks.store import LocalStore
from tests.champions import NAME, champion_store, promote_one

POLICY = LivePolicy(max_drop=0.05, num_reports=3)


def reports(values: list[float], metric: str = "accuracy", model: str = "m") -> Iterator[Reported]:
    """The latest first, as `latest` gives them; `values` in the order of their coming."""
    for value in reversed(values):
        yield Reported(
            name="a",
            metric=metric,
            value=value,
            version="1",
            model_digest=model,
            actor="x",
            time="",
        )


@pytest.mark.parametrize(
    ("values", "num_beyond", "is_fall"),
    [
        ([0.80], 1, False),
        ([0.10], 1, False),  # an outlier, however far
        ([0.80, 0.80], 2, False),
        ([0.80, 0.80, 0.80], 3, True),
        ([0.86, 0.86, 0.86, 0.86], 0, False),  # small falls
        ([0.80, 0.80, 0.88, 0.80, 0.80], 2, False),  # a good one between
        ([0.95, 0.99, 0.97], 0, False),
        ([0.85, 0.85, 0.85], 0, False),  # the limit itself is none
        ([0.80] * 4, 4, False),  # told already
        ([0.80] * 6, 6, True),  # twice as many
        ([0.80] * 9, 9, False),
        ([0.80] * 12, 12, True),
    ],
)
def test_only_a_fall_that_lasts_counts(values: list[float], num_beyond: int, is_fall: bool) -> None:
    judged = judge(reports(values), POLICY, 0.90, "m")
    assert (judged.num_beyond, judged.is_fall) == (num_beyond, is_fall)


def test_a_loss_falls_by_rising_and_another_model_begins_anew() -> None:
    assert judge(reports([0.5] * 3, "log_loss"), POLICY, 0.4, "m").is_fall
    assert not judge(reports([0.3] * 3, "log_loss"), POLICY, 0.4, "m").is_fall
    assert judge(reports([0.1] * 3, model="before"), POLICY, 0.9, "m").num_beyond == 0
    assert judge(reports([0.1] * 3), POLICY, None, "m").is_fall is False


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return champion_store(tmp_path / "store")


@pytest.fixture(autouse=True)
def _no_server() -> Iterator[None]:
    """Another test of this process may have one."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def told(store: LocalStore, value: float, **changes: object) -> bool:
    """Whether a report is a fall; the event has no server here."""
    try:
        report_metric(store, NAME, value, actor="probe", policy=POLICY, **changes)  # type: ignore[arg-type]
    except NoServer:
        return True
    return False


def test_a_report_is_held_against_the_champions_own_figure_and_kept(store: LocalStore) -> None:
    said, judged = report_metric(store, NAME, 0.93, actor="probe")
    assert (said.metric, said.version, said.actor) == ("accuracy", "18", "probe")
    assert judged.reference == pytest.approx(0.955)
    # An outlier, a good one, then a fall that lasts and is kept even where nobody can be told.
    assert [told(store, value) for value in (0.2, 0.95, 0.90, 0.90, 0.90, 0.90)] == [
        False, False, False, False, True, False,
    ]  # fmt: skip
    kept = [one.value for one in live.latest(store, NAME, "accuracy")]
    assert kept == [0.90, 0.90, 0.90, 0.90, 0.95, 0.2, 0.93]
    assert live.latest_of_each(store, NAME)["accuracy"].value == 0.90


def test_a_new_champion_is_judged_by_its_own_reports(store: LocalStore) -> None:
    assert [told(store, 0.9) for _ in range(2)] == [False, False]
    own = promote_one(store, num_wrong=4)
    assert not told(store, 0.9), "the row began anew"
    _, judged = report_metric(store, NAME, own, actor="probe", policy=POLICY)
    assert (judged.reference, judged.num_beyond) == (pytest.approx(own), 0)


def test_another_figure_is_kept_and_not_judged(store: LocalStore) -> None:
    assert not any(told(store, 0.0, metric="clicks") for _ in range(4))
    assert set(live.latest_of_each(store, NAME)) == {"clicks"}
    given = LivePolicy(metric="clicks", reference=0.5, num_reports=5)
    with pytest.raises(NoServer):
        report_metric(store, NAME, 0.0, actor="x", policy=given)


@pytest.mark.parametrize(
    ("name", "value", "metric", "problem"),
    [
        ("nobody", 0.9, None, "'nobody' has no champion"),
        (NAME, float("nan"), None, "accuracy nan is no finite number"),
        (NAME, float("inf"), None, "accuracy inf is no finite number"),
        (NAME, 0.9, "../x", "metric '../x' is no name"),
        (NAME, 0.9, "..", "metric '..' is no name"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    store: LocalStore, name: str, value: float, metric: str | None, problem: str
) -> None:
    before = list(store.list())
    with pytest.raises(LiveError, match=problem):
        report_metric(store, name, value, actor="probe", metric=metric)
    assert list(store.list()) == before
