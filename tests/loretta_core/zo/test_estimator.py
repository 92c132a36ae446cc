"""The population of evolution strategies: differences from the mean of a step, and with `std` the standardised update of arXiv 2509.24372."""

import pytest
import torch
from torch import nn

from loretta_core.zo.estimator import probe
from loretta_core.zo.noise import Direction, draw
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.parameters.flat import FlatParameters


def shifts(count, *, size, scale=1e-2):
    return [scale * draw(Direction(0, 0, index), size=size) for index in range(count)]


def test_a_population_has_no_evaluation_at_theta_and_its_differences_sum_to_nothing():
    theta, calls = nn.Parameter(torch.linspace(-1, 1, 7)), []
    found = probe(lambda: calls.append(1) or theta.square().sum(), storage=FlatParameters([theta]), shifts=shifts(5, size=7), estimator="population")
    assert (found.evaluations, len(calls), len(found.differences)) == (5, 5, 5)
    assert sum(found.differences) == pytest.approx(0.0, abs=1e-6)


def test_a_population_gives_the_covariance_of_loss_and_directions():
    theta, weight_P, q = nn.Parameter(torch.tensor([1.0, -2.0, 0.5])), torch.tensor([3.0, 1.0, -2.0]).double(), 4
    z_QP = torch.stack(shifts(q, size=3, scale=1.0))
    found = probe(lambda: weight_P @ theta.double(), storage=FlatParameters([theta]), shifts=list(1e-2 * z_QP), estimator="population")
    covariance_P = ((z_QP - z_QP.mean(dim=0)).T @ z_QP / q).double() @ weight_P  # (1 − 1/q) of the identity on average
    torch.testing.assert_close(torch.tensor(found.differences) @ z_QP / (1e-2 * q), covariance_P.float(), rtol=1e-3, atol=1e-4)


def test_the_step_of_evolution_strategies_is_that_of_the_paper():
    theta = nn.Parameter(torch.linspace(-1, 1, 9))
    start = theta.detach().clone()
    ZOSGD([theta], lr=0.1, zo_eps=1e-2, num_directions=6, estimator="population", scaling="std", seed=3).step(lambda: 1.0 - theta.double().cos().mean())
    z_QP = torch.stack([draw(Direction(3, 0, k), size=9) for k in range(6)])
    rewards = (start + 1e-2 * z_QP).double().cos().mean(dim=1)
    standard = ((rewards - rewards.mean()) / rewards.std()).float()
    torch.testing.assert_close(theta.detach(), start + 0.1 / 6 * standard @ z_QP, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reward", [0.1, 0.3])
def test_equal_rewards_move_nothing(reward):
    theta = nn.Parameter(torch.ones(3))
    optimizer = ZOSGD([theta], num_directions=3, estimator="population", scaling="std")
    optimizer.trouble.in_jumps = True
    optimizer.step(lambda: 1.0 - reward)
    assert torch.equal(theta.detach(), torch.ones(3))
    assert optimizer.trouble.level
