"""The first-order baseline under the zeroth-order interface: the steps of the optimizer it wraps."""

import pytest
import torch
from torch import nn

from loretta_core.zo.baselines.backprop import Backprop


def test_it_steps_as_the_optimizer_it_wraps():
    theta, twin = (nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    ours, plain = Backprop(torch.optim.AdamW([theta], lr=0.1)), torch.optim.AdamW([twin], lr=0.1)
    for _ in range(4):
        with torch.no_grad():  # as a loop of zeroth-order steps may run
            loss = ours.step(lambda: (theta**2).sum())
        plain.zero_grad()
        (twin**2).sum().backward()
        plain.step()
    assert torch.equal(theta, twin)
    assert loss > 0
    assert ours.evaluations == 4


def test_it_skips_what_is_not_finite_and_refuses_what_has_no_gradient():
    theta = nn.Parameter(torch.ones(2))
    optimizer = Backprop(torch.optim.SGD([theta], lr=0.1))
    optimizer.step(lambda: theta.sum() * float("nan"))
    assert optimizer.skipped_steps == 1
    assert torch.equal(theta.detach(), torch.ones(2))
    for bad in (lambda: 1.0, lambda: theta.detach().sum()):
        with pytest.raises(ValueError, match="without a gradient"):
            optimizer.step(bad)
    with pytest.raises(ValueError, match="without a closure"):
        optimizer.step()
