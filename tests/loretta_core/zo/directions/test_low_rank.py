"""Low-rank directions: products of the factors they name, whose right one stays for a period."""

import pytest
import torch
from torch import nn

from loretta_core.zo.directions.base import slots_of
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.noise import Direction, draw


def attached(directions, *shapes):
    draws = directions
    draws.attach(slots_of([{"params": [nn.Parameter(torch.zeros(shape)) for shape in shapes]}]), distribution="gaussian", streamed=False, state={})
    return draws


def test_matrices_are_products_and_all_else_is_dense():
    draws = attached(LowRank(rank=2), (6, 5), (7,), (2, 9))
    z_P = draws.whole(Direction(3, 1))
    u_MR, v_NR = draws.factors(Direction(3, 1), draws.slots[0])
    assert (u_MR.shape, v_NR.shape) == ((6, 2), (5, 2))
    torch.testing.assert_close(z_P[:30].view(6, 5), u_MR @ v_NR.T)
    assert torch.equal(z_P[30:], draw(Direction(3, 1), start=30, size=25))
    assert draws.factors(Direction(3, 1), draws.slots[2]) is None


def test_the_right_factor_stays_for_a_period_and_is_another_for_every_direction():
    draws = attached(LowRank(rank=1, refresh_every=10), (6, 5))
    right = lambda step, index=0: draws.factors(Direction(0, step, index), draws.slots[0])[1]  # noqa: E731
    assert torch.equal(right(0), right(9))
    assert not torch.equal(right(0), right(10))
    assert not torch.equal(right(0), right(0, 1))


def test_values_and_rows_are_those_of_the_whole():
    draws = attached(LowRank(rank=2), (40, 12), (5,))
    z_P = draws.whole(Direction(1, 7))
    torch.testing.assert_close(draws.values(Direction(1, 7), draws.slots[0], start=17, size=100), z_P[17:117])
    rows_U = torch.tensor([3, 39, 0])
    torch.testing.assert_close(draws.rows(Direction(1, 7), draws.slots[0], rows_U), z_P[:480].view(40, 12)[rows_U])


@pytest.mark.parametrize("settings", [{"rank": 0}, {"refresh_every": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="expected rank ≥ 1 and refresh_every ≥ 1"):
        LowRank(**settings)
