"""Dropout on a processor is PyTorch's in all that can be seen but time."""

import math

import pytest
import torch
from torch.nn import functional

from models.dropout import CheapDropout

NUM_VALUES = 400_001  # no multiple of four, of which draws are made at once


def dropped(values: torch.Tensor, p: float, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    with CheapDropout():
        return functional.dropout(values, p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.0001, 0.1, 0.3, 0.5, 0.9])
def test_as_many_are_dropped_as_asked_and_the_mean_stays(p: float, dtype: torch.dtype) -> None:
    found = dropped(torch.ones(NUM_VALUES, dtype=dtype), p)
    share = float((found == 0).double().mean())
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / NUM_VALUES) + 1 / (1 << 17)
    kept = found[found != 0].double().unique()
    off = 2 * torch.finfo(dtype).eps + 1 / (1 << 17) / (1 - p)  # p is rounded to 16 bits
    assert kept.tolist() == [pytest.approx(1 / (1 - p), rel=off)]


def test_neighbours_are_dropped_independently() -> None:
    """Four values share one draw of the generator."""
    is_dropped = (dropped(torch.ones(NUM_VALUES), 0.3) == 0).double()
    for apart in (1, 2, 3, 4, 64):
        both = float((is_dropped[apart:] * is_dropped[:-apart]).mean())
        assert abs(both - 0.09) < 5 * math.sqrt(0.09 * 0.91 / NUM_VALUES) * 2


def test_the_gradient_goes_where_the_values_went() -> None:
    values = torch.randn(7, 33, requires_grad=True)
    found = dropped(values, 0.4)
    (3 * found).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values / 3, found)


def test_a_seed_gives_the_same_again_and_another_seed_does_not() -> None:
    values = torch.ones(1000)
    assert dropped(values, 0.5).equal(dropped(values, 0.5))
    assert not dropped(values, 0.5).equal(dropped(values, 0.5, seed=2))


def test_the_block_draws_for_itself_and_what_is_outside_of_it_does_not() -> None:
    values = torch.ones(1000)
    torch.manual_seed(1)
    outside = functional.dropout(values, 0.5)
    assert not outside.equal(dropped(values, 0.5))


def test_what_is_no_matter_of_chance_or_in_place_is_left_to_pytorch() -> None:
    values = torch.randn(100)
    with CheapDropout():
        assert functional.dropout(values, 0.5, training=False) is values
        assert functional.dropout(values, 0.0).equal(values)
        assert functional.dropout(values, 1.0).count_nonzero() == 0
        torch.nn.Dropout(0.5, inplace=True)(values)
    assert 0 < values.count_nonzero() < 100
    with CheapDropout(), pytest.raises(ValueError, match="between 0 and 1"):
        functional.dropout(values, 1.5)
