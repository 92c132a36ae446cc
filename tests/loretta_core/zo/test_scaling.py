"""The factors against their formulas, and what they make of a step."""

import math
import statistics

import pytest
import torch
from torch import nn

from loretta_core.zo.noise import Direction, draw
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.scaling import BETA, bias_corrected, step_factors, update_second_moment


def test_factors_are_their_formulas():
    differences = (0.5, -0.25, 0.0, 2.0)
    assert step_factors(differences, scaling="sign", second_moment=0.0) == (1.0, -1.0, 0.0, 1.0)
    assert step_factors(differences, scaling="std", second_moment=0.0) == pytest.approx([d / statistics.stdev(differences) for d in differences])
    assert step_factors(differences, scaling="rms", second_moment=4.0) == pytest.approx([d / 2 for d in differences])


@pytest.mark.parametrize("scaling", ["sign", "std", "rms"])
def test_without_a_scale_nothing_moves(scaling):
    assert step_factors((0.0, 0.0), scaling=scaling, second_moment=0.0) == (0.0, 0.0)


def test_the_second_moment_forgets_and_is_unbiased_from_the_first_step():
    moment = update_second_moment(0.0, (3.0, 3.0))
    assert bias_corrected(moment, steps=1) == pytest.approx(9.0)
    for _ in range(2000):
        moment = update_second_moment(moment, (1.0,))
    assert bias_corrected(moment, steps=2001) == pytest.approx(1.0)
    assert 0 < BETA < 1


@pytest.mark.parametrize(("scaling", "directions"), [("sign", 1), ("std", 3), ("rms", 1)])
def test_a_step_does_not_know_the_unit_of_the_loss(scaling, directions):
    ends = []
    for unit in (1.0, 1024.0):  # a power of two: rounding is the same
        theta = nn.Parameter(torch.linspace(-1, 1, 9, dtype=torch.float32))
        optimizer = ZOSGD([theta], lr=0.02, scaling=scaling, num_directions=directions)
        for _ in range(5):
            optimizer.step(lambda theta=theta, unit=unit: unit * (theta.double() ** 2).sum())
        ends.append(theta.detach().clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", ["two_sided", "one_sided"])
def test_normalised_steps_are_fzoo(estimator):
    theta = nn.Parameter(torch.linspace(-1, 1, 9))
    start = theta.detach().clone()
    seen = []
    optimizer = ZOSGD([theta], lr=0.1, scaling="std", num_directions=4, estimator=estimator, distribution="rademacher", seed=2)
    optimizer.on_step = lambda step, differences: seen.extend(differences)
    optimizer.step(lambda: (theta**2).sum())
    z_QP = torch.stack([draw(Direction(2, 0, k), size=9, distribution="rademacher") for k in range(4)])
    expected = start - 0.1 * (torch.tensor(seen) @ z_QP) / 4 / torch.tensor(seen).std()
    torch.testing.assert_close(theta.detach(), expected)


def test_skipped_steps_do_not_count_for_the_moment():
    theta = nn.Parameter(torch.ones(3))
    optimizer = ZOSGD([theta], lr=0.1, scaling="rms")
    optimizer.step(lambda: math.nan)
    optimizer.step(lambda: (theta**2).sum())
    z = draw(Direction(0, 1), size=3)
    assert torch.equal((torch.ones(3) - theta.detach()).sign().abs(), torch.ones(3))
    torch.testing.assert_close((torch.ones(3) - theta.detach()).abs(), 0.1 * z.abs(), rtol=1e-4, atol=1e-5)


def test_one_direction_has_no_spread():
    with pytest.raises(ValueError, match="num_directions ≥ 2"):
        ZOSGD([nn.Parameter(torch.ones(1))], scaling="std")
    with pytest.raises(ValueError, match="num_directions ≥ 2"):
        step_factors((1.0,), scaling="std", second_moment=0.0)
