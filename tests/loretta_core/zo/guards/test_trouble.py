"""Runs that learn nothing are told so, once."""

import warnings

import pytest
import torch
from torch import nn

from loretta_core.zo.optim import ZOSGD


def said(optimizer, losses):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for loss in losses:
            optimizer.step(loss)
    return [str(one.message) for one in found]


def test_no_finite_loss_for_ten_steps_is_said_once():
    weight = nn.Parameter(torch.ones(3))
    (text,) = said(ZOSGD([weight]), [lambda: float("nan")] * 40)
    assert "lower the learning rate" in text
    nan_now_and_then = [lambda: float("nan")] * 9 + [lambda: weight.sum()]
    assert not said(ZOSGD([weight]), nan_now_and_then * 3)


@pytest.mark.parametrize("trained", [0, 3])
def test_weights_that_the_loss_no_longer_reads_are_said_once(trained):
    model = nn.Linear(3, 2)
    optimizer = ZOSGD(model.parameters(), num_directions=2)
    for _ in range(trained):
        optimizer.step(lambda: model(torch.ones(3)).square().sum())
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
    (text,) = said(optimizer, [lambda: model(torch.ones(3)).square().sum()] * 5)
    assert "load_state_dict(assign=True)" in text


def test_chance_perfection_and_metrics_are_no_trouble():
    weight = nn.Parameter(torch.ones(3))
    moving, level = lambda: weight.sum(), lambda: 0.5
    assert not said(ZOSGD([weight]), [moving, level, moving, level])
    assert not said(ZOSGD([weight]), [lambda: weight.sum() * 0.0] * 4)
    of_a_metric = ZOSGD([weight])
    of_a_metric.trouble.in_jumps = True
    assert not said(of_a_metric, [level] * 4)
