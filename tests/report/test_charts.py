"""Pictures show what the numbers say."""

import math
import re

import pytest

from report.charts import Bin, ForestRow, Line, axis, curves, forest, heat, reliability
from report.figures import (
    count,
    counted,
    difference,
    moment,
    p_value,
    percent,
    plain,
    score,
    seconds,
    size,
    span,
    tick,
)
from report.training import _bins


def _places(picture: str, pattern: str) -> list[float]:
    return [float(x) for x in re.findall(pattern, picture)]


def test_forest_places_estimate_bounds_and_limit_in_their_order() -> None:
    row = ForestRow("champion", "", "passed", 0.01, -0.01, 0.03, limit=-0.02)
    picture = forest([row], caption="", write=str, zero=0.0)
    dot = _places(picture, r'circle cx="([\d.]+)%"')[0]
    low, high = _places(picture, r'<line x1="([\d.]+)%" x2="[\d.]+%" y1="-6"')
    limit = _places(picture, r'x1="([\d.]+)%"[^>]*class="limit"')[0]
    zero = _places(picture, r'x1="([\d.]+)%"[^>]*class="zero"')[0]
    assert limit < low < zero < dot < high
    assert dot == pytest.approx((low + high) / 2, abs=0.02)


def test_forest_says_no_figure_for_nan() -> None:
    rows = [ForestRow("a", "", "refused", math.nan, -math.inf, math.nan, math.nan)]
    picture = forest(rows, caption="", write=str)
    assert "no figure" in picture
    assert "whisker mark-refused" not in picture


@pytest.mark.parametrize("values", [[0.1, 0.9], [5.0, 5.0], [0.0], [], [-1e-9, 1e9], [math.nan]])
def test_axis_has_round_ticks_inside(values: list[float]) -> None:
    scale = axis(values)
    assert scale.low < scale.high
    assert 1 <= len(scale.ticks) <= 7
    assert all(scale.low <= t <= scale.high for t in scale.ticks)


def test_curves_breaks_at_nan_and_thins_long_lines() -> None:
    points = tuple((float(i), math.nan if i == 5000 else 1 / (i + 1)) for i in range(10_001))
    picture = curves("Loss", [Line("loss", points)])
    assert len(picture) < 20_000
    assert "1 of the values are not finite" in picture
    assert (
        curves("Loss", [Line("loss", ((0.0, 1.0), (1.0, math.nan), (2.0, 1.0)))]).count("<polyline")
        == 2
    )


def test_heat_draws_only_cells_with_items() -> None:
    picture = heat(["a", "b"], {("a", "b"): 3, ("a", "a"): 1})
    assert picture.count("<title>a answered as") == 2
    assert "a answered as b: 3" in picture


def test_reliability_dots_lie_at_their_accuracy() -> None:
    picture = reliability([Bin(0.9, 1.0, 10, 0.95, 0.5), Bin(0.0, 0.1, 0, 0.0, 0.0)])
    assert _places(picture, r'cx="([\d.]+)"') == [46 + 220 * 0.95]
    assert _places(picture, r'cy="([\d.]+)"') == [120.0]


def test_bins_hold_every_item_and_the_edges() -> None:
    bins = _bins([(0.0, False), (0.17, True), (0.95, True), (1.0, False)])
    assert [b.num_items for b in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bins[9].accuracy == 0.5
    assert bins[9].mean_confidence == pytest.approx(0.975)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (percent(0.9124), "91.2%"),
        (percent(None), "not known"),
        (percent(math.nan), "not a number"),
        (score("log_loss", 0.25), "0.250"),
        (score("accuracy", 1.0), "100.0%"),
        (difference("accuracy", 0.0123), "+1.2 points"),
        (difference("accuracy", -0.0004), "0.0 points"),
        (difference("log_loss", -0.02), "−0.020"),
        (span("accuracy", -0.077, -0.039, signed=True), "−7.7 to −3.9 points"),
        (tick("accuracy", -0.05, signed=True), "−5"),
        (tick("accuracy", 0.85, signed=False), "85%"),
        (plain(0.00001), "1e−5"),
        (plain(137.44), "137.4"),
        (plain(3160.0), "3160"),
        (count(12345), "12,345"),
        (counted(1, "row"), "1 row"),
        (counted(2, "row"), "2 rows"),
        (seconds(0.0851), "85 ms"),
        (seconds(59.99), "1 min 00 s"),
        (seconds(3725), "1 h 02 min"),
        (size(91_000_000), "91.0 MB"),
        (size(1_420_000_000), "1.4 GB"),
        (size(999), "999 B"),
        (p_value(0.0), "< 0.001"),
        (p_value(0.4123), "0.41"),
        (moment("2026-11-23T16:05:00+02:00"), "2026-11-23 14:05 UTC"),
        (moment("yesterday"), "yesterday"),
    ],
)
def test_figures_read_well(written: str, text: str) -> None:
    assert written == text
