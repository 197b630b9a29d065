"""Warm-up and decay, step by step; and the pictures in docs are of these schedules."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from models.config import TrainConfig
from models.schedule import learning_rates

ROOT = Path(__file__).parents[2]
NUM_STEPS, PEAK = 200, 0.01
WARM = 20
"""Steps: ten percent."""
DECAYS = {
    "linear": lambda t: (NUM_STEPS - t) / (NUM_STEPS - WARM),
    "cosine": lambda t: (1 + math.cos(math.pi * (t - WARM) / (NUM_STEPS - WARM))) / 2,
    "inverse_sqrt": lambda t: math.sqrt(WARM / t),
    "constant": lambda t: 1.0,
}


@pytest.mark.parametrize("schedule", DECAYS)
def test_a_schedule_is_its_formula(schedule: str) -> None:
    config = TrainConfig.model_validate(
        {"schedule": schedule, "learning_rate": PEAK, "warmup_ratio": 0.1}
    )
    rates = learning_rates(config, NUM_STEPS)
    for t in range(NUM_STEPS):
        factor = t / WARM if t < WARM else DECAYS[schedule](t)
        assert rates[t] == pytest.approx(PEAK * factor, abs=1e-6 * PEAK)


def test_the_pictures_are_drawn_from_the_schedules_of_today(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "docs" / "theory" / "draw.py", tmp_path], cwd=ROOT, check=True
    )
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["positions.svg", "schedules.svg"]
    for name in drawn:
        assert (tmp_path / name).read_text() == (ROOT / "docs" / "theory" / name).read_text()


def test_the_inverse_root_without_a_warm_up_falls_from_the_first_step() -> None:
    config = TrainConfig(schedule="inverse_sqrt", learning_rate=PEAK, warmup_ratio=0)
    expected = [PEAK / math.sqrt(t + 1) for t in range(NUM_STEPS)]
    assert learning_rates(config, NUM_STEPS) == pytest.approx(expected, rel=1e-12)
