"""PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i + 1) = cos of the same: against Marian's table."""

from typing import Any

import numpy as np
import pytest

from tests.theory.families import make_family

Array = np.ndarray[Any, np.dtype[np.float64]]


def sinusoidal(num_positions: int, width: int) -> Array:
    """The paper's table: sines in even columns, cosines in odd ones."""
    table = np.zeros((num_positions, width))
    for p in range(num_positions):
        for i in range(width // 2):
            angle = p / 10000 ** (2 * i / width)
            table[p, 2 * i], table[p, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return table


@pytest.fixture(scope="module")
def marian_table(tmp_path_factory: pytest.TempPathFactory) -> Array:
    model, _ = make_family("marian", tmp_path_factory.mktemp("marian"))
    table: Array = model.encoder.embed_positions.weight.detach().numpy()
    return table


def test_marian_holds_all_sines_first_and_then_all_cosines(marian_table: Array) -> None:
    paper = sinusoidal(32, 16)
    expected = np.concatenate([paper[:, 0::2], paper[:, 1::2]], axis=1)
    np.testing.assert_allclose(marian_table, expected, atol=1e-6)


def test_the_order_of_columns_changes_no_product_of_positions(marian_table: Array) -> None:
    """Which is all that a layer over it can tell, up to the order of its own weights."""
    paper = sinusoidal(32, 16)
    np.testing.assert_allclose(marian_table @ marian_table.T, paper @ paper.T, atol=1e-5)


def test_a_product_depends_on_the_distance_alone(marian_table: Array) -> None:
    """sin a sin b + cos a cos b = cos(a - b)."""
    frequencies = 10000.0 ** (-2 * np.arange(8) / 16)
    products = marian_table @ marian_table.T
    for p, q in ((0, 5), (7, 12), (20, 25)):
        assert products[p, q] == pytest.approx(np.cos(5 * frequencies).sum(), abs=1e-6)
