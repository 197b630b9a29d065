"""What the artifact costs in use, and whether a consumer gets what was scored."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from models.running_cost import Cost, CostRequest, measure
from models.scoring import score
from tests.models.trainings import make_base, make_request, rows, train_tiny

ROOT = Path(__file__).resolve().parents[2]
NUM_ITEMS = 40


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> CostRequest:
    folder = tmp_path_factory.mktemp("cost")
    train_tiny(make_base(folder / "base"), folder / "model")
    data = rows(folder, num_rows=NUM_ITEMS, first=900)
    scoring = make_request(folder / "model", data, folder / "test.parquet")
    return CostRequest(scoring=scoring, card=score(scoring))


def with_card(request: CostRequest, **fields: object) -> CostRequest:
    return request.model_copy(update={"card": request.card.model_copy(update=fields)})


def test_measure_in_a_fresh_process_finds_the_artifact_equal_to_its_scores(
    request_: CostRequest, tmp_path: Path
) -> None:
    (tmp_path / "request.json").write_bytes(request_.to_json())
    command = [sys.executable, "-m", "models.running_cost"]
    paths = [str(tmp_path / "request.json"), str(tmp_path / "cost.json")]
    held = b"1" * 700_000_000  # by this process, as by one that has trained
    subprocess.run([*command, *paths], check=True, cwd=ROOT, timeout=200)
    cost = Cost.from_json((tmp_path / "cost.json").read_bytes())
    assert cost.parity.num_compared == cost.parity.num_equal_labels == NUM_ITEMS
    assert cost.parity.max_abs_difference < 1e-5
    folder = Path(request_.scoring.model_path)
    assert cost.budgets.artifact_bytes == sum(p.stat().st_size for p in folder.iterdir())
    assert cost.budgets.latency_p95_ms is not None
    assert 0 < cost.budgets.latency_p95_ms < 5000
    assert cost.budgets.peak_memory_bytes is not None
    assert 50e6 < cost.budgets.peak_memory_bytes < len(held)


def test_measure_sees_one_label_that_was_not_what_the_artifact_says(request_: CostRequest) -> None:
    first, *rest = request_.card.predicted
    wrong = "positive" if first == "negative" else "negative"
    parity = measure(with_card(request_, predicted=(wrong, *rest))).parity
    assert (parity.num_compared, parity.num_equal_labels) == (NUM_ITEMS, NUM_ITEMS - 1)


@pytest.mark.parametrize("position", [0, NUM_ITEMS - 1])
def test_measure_sees_one_probability_that_differs(request_: CostRequest, position: int) -> None:
    values = list(request_.card.confidence)
    values[position] -= 0.25
    parity = measure(with_card(request_, confidence=tuple(values))).parity
    assert parity.max_abs_difference == pytest.approx(0.25, abs=1e-5)
    assert parity.num_equal_labels == NUM_ITEMS
    values[position] = math.nan
    parity = measure(with_card(request_, confidence=tuple(values))).parity
    assert math.isnan(parity.max_abs_difference)
