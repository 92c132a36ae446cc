"""Parameters that a model lost are named; references that come and go otherwise are not."""

import warnings

import pytest
import torch
from torch import nn

from loretta_core.zo.optim import ZOSGD, ZerothOrder


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def loss_of(model):
    x_BI = torch.linspace(-1, 1, 12).view(4, 3)
    return lambda: (model(x_BI) ** 2).mean()


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_part_that_got_new_parameters_is_named(steps, wrapped):
    model = net()
    optimizer = ZerothOrder(torch.optim.SGD(model.parameters(), lr=1e-3)) if wrapped else ZOSGD(model.parameters())
    for _ in range(steps):
        optimizer.step(loss_of(model))
    model[2].load_state_dict(net()[2].state_dict(), assign=True)
    with pytest.warns(UserWarning, match=r"other parameters in place of 2 that this optimizer has .*\(2, 4\), \(2,\)"):
        optimizer.step(loss_of(model))
    assert not warnings_of(lambda: optimizer.step(loss_of(model)))


@pytest.mark.parametrize("streamed", [False, True])
def test_references_that_go_otherwise_are_no_loss(streamed):
    model = net()
    mine = list(model.parameters())
    optimizer = ZOSGD(mine, streamed=streamed)
    optimizer.step(loss_of(model))
    del mine
    assert not warnings_of(lambda: optimizer.step(loss_of(model)))
    model[0].weight.data = torch.ones(4, 3)
    assert not warnings_of(lambda: optimizer.step(loss_of(model)))


def test_parameters_of_no_module_and_of_another_loss_are_no_loss():
    theta, other = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))], nn.Parameter(torch.ones(4))
    optimizer = ZOSGD(list(theta))
    assert not warnings_of(lambda: optimizer.step(lambda: (theta[0] ** 2).sum() + (other**2).sum()))


def warnings_of(step):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        step()
    return [str(one.message) for one in found]
