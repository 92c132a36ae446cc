"""Outliers are clipped by what was applied before; steps without a finite loss are skipped; the run still replays bitwise."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.outliers import MIN_DIFFERENCES, WINDOW, clip_outliers, signal_to_noise, update_window
from loretta_core.zo.replay_log import LogWriter, read_log, replay

pytestmark = pytest.mark.integration

OPTIMIZERS = {
    "sgd": lambda params: ZOSGD(params, lr=0.01, clip=4.0),
    "adam": lambda params: ZerothOrder(torch.optim.AdamW(params, lr=0.01), clip=4.0, num_directions=2),
}


def theta():
    return nn.Parameter(torch.linspace(-1, 1, 12))


def closure(parameter, step):
    """A bowl; every hundredth step is NaN on one side, and some steps have a side a thousand times too large."""
    calls = iter(range(100))

    def loss():
        first = next(calls) == 0
        value = (parameter**2).sum()
        if first and step % 100 == 37:
            return value * math.nan
        return value * 1000 if first and step % 100 == 80 else value

    return loss


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_nan_and_outliers_are_survived_and_replayed(make, tmp_path):
    parameter = theta()
    optimizer = make([parameter])
    optimizer.on_step = LogWriter(tmp_path / "log", header={})
    losses = [optimizer.step(closure(parameter, step)) for step in range(1000)]
    optimizer.on_step.flush()
    assert sum(math.isnan(loss) for loss in losses) == optimizer.skipped_steps == 10
    assert optimizer.clipped_differences >= 10
    assert optimizer.evaluations == 2000 * (len(read_log(tmp_path / "log").rows[0]))
    assert losses[-1] < losses[0]
    again = make([theta()])
    replay(read_log(tmp_path / "log"), again)
    assert torch.equal(again.theta, optimizer.theta)
    assert again.skipped_steps == 10


def test_without_clipping_the_outlier_does_harm():
    ends = {}
    for clip in (None, 4.0):
        parameter = theta()
        optimizer = ZOSGD([parameter], lr=0.01, clip=clip)
        for step in range(100):
            optimizer.step(closure(parameter, step))
        ends[clip] = (parameter**2).sum().item()
    assert ends[4.0] < 10 < ends[None]


def test_a_resumed_run_decides_alike():
    parameter = theta()
    optimizer = OPTIMIZERS["sgd"]([parameter])
    for step in range(70):
        optimizer.step(closure(parameter, step))
    copy = nn.Parameter(parameter.detach().clone())
    resumed = OPTIMIZERS["sgd"]([copy])
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for step in range(70, 90):
        optimizer.step(closure(parameter, step))
        resumed.step(closure(copy, step))
    assert optimizer.clipped_differences > 0
    assert (resumed.clipped_differences, resumed.skipped_steps) == (optimizer.clipped_differences, optimizer.skipped_steps)
    assert torch.equal(parameter.detach(), copy.detach())


def test_the_limit_is_its_formula():
    past = [float(value) for value in range(MIN_DIFFERENCES + 1)]  # median 8, MAD 4
    assert clip_outliers([8.0, 100.0, -100.0], past=past, clip=2.0) == pytest.approx((8.0, 8 + 2 * 1.4826 * 4, 8 - 2 * 1.4826 * 4))
    assert clip_outliers([100.0], past=past[: MIN_DIFFERENCES - 1], clip=2.0) == (100.0,)
    assert clip_outliers([100.0], past=[1.0] * MIN_DIFFERENCES, clip=2.0) == (100.0,)
    assert update_window([0.0] * WINDOW, [1.0, 2.0])[-3:] == [0.0, 1.0, 2.0]
    assert len(update_window([0.0] * WINDOW, [1.0, 2.0])) == WINDOW


@pytest.mark.parametrize("loss", [0.7, 1.0, 2.5, 100.0])
def test_noise_is_the_spacing_of_fp32(loss):
    spacing = (torch.nextafter(torch.tensor(loss), torch.tensor(math.inf)) - torch.tensor(loss)).item()
    assert signal_to_noise([3 * spacing, -5 * spacing, 4 * spacing], loss=loss) == pytest.approx(4.0)


def test_a_clip_that_is_no_limit_is_refused():
    with pytest.raises(ValueError, match="clip > 0"):
        ZOSGD([theta()], clip=0.0)
