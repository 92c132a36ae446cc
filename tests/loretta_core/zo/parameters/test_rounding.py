"""Rounding to bf16: exact where it can be, unbiased where not, a function of its direction."""

import pytest
import torch

from loretta_core.zo.noise import Direction
from loretta_core.zo.parameters.rounding import ROUNDING, overlap, rounded


def test_what_bf16_holds_stays_and_what_lies_between_goes_both_ways_in_proportion():
    held = torch.tensor([0.0, 1.0, -1.5, 3.0e38, -1e-30, float("inf")]).bfloat16().float()
    assert torch.equal(rounded(held, Direction(0, 0, ROUNDING), start=7).float(), held)
    between = torch.full((100_000,), 1 + 2**-7 * 0.3)
    found = rounded(between, Direction(0, 0, ROUNDING), start=0).float()
    assert set(found.tolist()) == {1.0, 1 + 2**-7}
    assert (found > 1).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_a_slice_is_rounded_as_in_the_whole():
    values = torch.linspace(-1, 1, 1001)
    whole = rounded(values, Direction(1, 2, ROUNDING), start=0)
    assert torch.equal(rounded(values[333:700], Direction(1, 2, ROUNDING), start=333), whole[333:700])
    assert not torch.equal(rounded(values, Direction(1, 3, ROUNDING), start=0), whole)


def test_overlap_is_the_share_that_arrived():
    arrived, wanted = overlap(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0])).tolist()
    assert arrived / wanted == 0.5
