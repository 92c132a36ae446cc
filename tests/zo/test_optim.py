"""ZO-SGD against its formula, against autograd, and as a torch optimizer."""

import pytest
import torch
from torch import nn

from loretta_core.zo.noise import gaussian_direction, mix
from loretta_core.zo.optim import ZOSGD

CPU = torch.device("cpu")


def quadratic(size: int):
    generator = torch.Generator().manual_seed(1)
    scale_P = torch.rand(size, generator=generator) + 0.5
    theta = nn.Parameter(torch.randn(size, generator=generator))
    return theta, lambda: 0.5 * (scale_P * theta**2).sum(), scale_P


def test_a_step_is_the_formula():
    theta, loss, _ = quadratic(7)
    before = theta.detach().clone()
    z = gaussian_direction(7, seed=3, step=0, direction=0, device=CPU)
    with torch.no_grad():
        theta.copy_(before + 1e-3 * z)
        plus = loss().item()
        theta.copy_(before - 1e-3 * z)
        minus = loss().item()
        theta.copy_(before)
    ZOSGD([theta], lr=0.1, zo_eps=1e-3, seed=3).step(loss)
    torch.testing.assert_close(theta.detach(), before - 0.1 * (plus - minus) / 2e-3 * z)


def test_the_update_lies_along_the_direction_exactly():
    theta, loss, _ = quadratic(50)
    before = theta.detach().clone()
    ZOSGD([theta], lr=0.1, seed=5).step(loss)
    z = gaussian_direction(50, seed=5, step=0, direction=0, device=CPU)
    assert torch.cosine_similarity((before - theta.detach()).double(), z.double(), dim=0).abs().item() == pytest.approx(1.0, abs=1e-6)


def test_the_mean_of_many_estimates_is_the_gradient():
    theta, loss, scale_P = quadratic(40)
    gradient = (scale_P * theta).detach().clone()
    before = theta.detach().clone()
    ZOSGD([theta], lr=1.0, zo_eps=1e-3, num_directions=8000, seed=0).step(loss)
    estimate = before - theta.detach()
    assert torch.cosine_similarity(estimate, gradient, dim=0).item() > 0.99


def test_groups_have_their_own_lr_eps_and_decay():
    first, second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    optimizer = ZOSGD([{"params": [first], "lr": 0.0}, {"params": [second], "zo_eps": 1e-2, "weight_decay": 0.5}], lr=0.1)
    optimizer.step(lambda: second.sum() * 0.0)
    assert torch.equal(first.detach(), torch.ones(3))
    torch.testing.assert_close(second.detach(), torch.full((2,), 0.95))


def test_global_random_state_is_untouched_and_the_run_repeats():
    curves = []
    for _ in range(2):
        theta, loss, _ = quadratic(9)
        optimizer = ZOSGD([theta], lr=0.05, num_directions=2, seed=1)
        state = torch.get_rng_state()
        curves.append([optimizer.step(loss) for _ in range(20)])
        assert torch.equal(torch.get_rng_state(), state)
    assert curves[0] == curves[1]
    assert curves[0][-1] < curves[0][0]


def test_a_loss_that_is_not_finite_changes_nothing_and_is_counted():
    theta, _, _ = quadratic(4)
    before = theta.detach().clone()
    optimizer = ZOSGD([theta])
    optimizer.step(lambda: float("nan"))
    assert torch.equal(theta.detach(), before)
    assert optimizer.skipped_steps == 1


def test_state_dict_continues_the_directions():
    theta, loss, _ = quadratic(6)
    optimizer = ZOSGD([theta], lr=0.05)
    optimizer.step(loss)
    copy = nn.Parameter(theta.detach().clone())
    resumed = ZOSGD([copy], lr=0.9)
    resumed.load_state_dict(optimizer.state_dict())
    optimizer.step(loss)
    scale_P = quadratic(6)[2]
    resumed.step(lambda: 0.5 * (scale_P * copy**2).sum())
    assert torch.equal(theta.detach(), copy.detach())


def test_torch_schedulers_drive_it():
    theta, loss, _ = quadratic(3)
    optimizer = ZOSGD([theta], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    optimizer.step(loss)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.75)


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"zo_eps": 0.0}, {"num_directions": 0}, {"weight_decay": -0.1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match="expected lr"):
        ZOSGD([nn.Parameter(torch.ones(1))], **bad)


def test_keys_do_not_collide():
    keys = {mix(seed, step, direction) for seed in range(10) for step in range(1000) for direction in range(10)}
    assert len(keys) == 100_000
