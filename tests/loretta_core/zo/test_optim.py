"""Zeroth-order optimizers against their formulas, against autograd, and as torch optimizers. One table of all of them, and the laws that each keeps."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from loretta_core.zo.noise import Direction, draw
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import LogWriter, read_log, replay

OPTIMIZERS = {
    "sgd": lambda params, **options: ZOSGD(params, lr=0.05, **options),
    "sgd, decay": lambda params, **options: ZOSGD(params, lr=0.05, weight_decay=0.1, **options),
    "sign": lambda params, **options: ZOSGD(params, lr=0.03, scaling="sign", **options),
    "fzoo": lambda params, **options: ZOSGD(params, lr=0.05, scaling="std", **{"num_directions": 4} | options),
    "meazo": lambda params, **options: ZOSGD(params, lr=0.03, scaling="rms", **options),
    "momentum": lambda params, **options: ZerothOrder(torch.optim.SGD(params, lr=0.02, momentum=0.9), **options),
    "adam": lambda params, **options: ZerothOrder(torch.optim.AdamW(params, lr=0.05), **options),
    "rmsprop": lambda params, **options: ZerothOrder(torch.optim.RMSprop(params, lr=0.01), **options),
}


@pytest.fixture(params=OPTIMIZERS)
def make(request):
    return OPTIMIZERS[request.param]


def quadratic(size: int):
    generator = torch.Generator().manual_seed(1)
    scale_P = torch.rand(size, generator=generator) + 0.5
    theta = nn.Parameter(torch.randn(size, generator=generator))
    return theta, lambda: 0.5 * (scale_P * theta**2).sum(), scale_P


def test_a_step_is_the_formula():
    theta, loss, _ = quadratic(7)
    before = theta.detach().clone()
    z = draw(Direction(3, 0), size=7)
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
    z = draw(Direction(5, 0), size=50)
    assert torch.cosine_similarity((before - theta.detach()).double(), z.double(), dim=0).abs().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.integration
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


@pytest.mark.parametrize(
    "options", [{}, {"num_directions": 3}, {"estimator": "one_sided"}, {"estimator": "forward_gradient"}, {"distribution": "rademacher"}], ids=str
)
def test_law_a_run_descends_repeats_and_leaves_the_global_generator_alone(make, options):
    curves = []
    for _ in range(2):
        theta, loss, _ = quadratic(9)
        optimizer = make([theta], seed=1, **options)
        state = torch.get_rng_state()
        curves.append([optimizer.step(loss) for _ in range(60)])
        assert torch.equal(torch.get_rng_state(), state)
    assert curves[0] == curves[1]
    assert curves[0][-1] < curves[0][0]


def test_law_evaluation_never_moves_theta(make):
    theta, loss, _ = quadratic(11)
    optimizer = make([theta], num_directions=2)
    before = theta.detach().clone()

    calls = []

    def broken():
        calls.append(None)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return loss()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(broken)
    assert torch.equal(theta.detach(), before)
    assert optimizer.steps_taken == 0


@pytest.mark.parametrize("options", [{}, {"num_directions": 3}, {"distribution": "rademacher"}, {"estimator": "one_sided"}], ids=str)
def test_law_what_updates_is_what_perturbed(make, options):
    """The vector that the update is made of lies in the span of the shifts that the loss saw."""
    theta, loss, _ = quadratic(11)
    optimizer = make([theta], zo_eps=0.25, **options)
    before, seen = theta.detach().clone(), []
    optimizer.step(lambda: seen.append(theta.detach() - before) or loss())
    shifts_QP = torch.stack([shift for shift in seen if shift.any()]).double()
    decayed = before * (1 - 0.05 * 0.1) if optimizer.param_groups[0].get("weight_decay") and isinstance(optimizer, ZOSGD) else before
    applied_P = ((decayed - theta.detach()) if isinstance(optimizer, ZOSGD) else theta.grad).double()
    inside_P = shifts_QP.T @ torch.linalg.pinv(shifts_QP.T, rtol=1e-5) @ applied_P
    assert applied_P.norm() > 0
    assert (applied_P - inside_P).norm() / applied_P.norm() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"distribution": "rademacher"}, {"estimator": "one_sided"}, {"estimator": "forward_gradient"}], ids=str)
@pytest.mark.parametrize("name", ["sgd", "fzoo", "meazo", "momentum", "adam"])
def test_law_the_mean_of_20000_samples_is_the_gradient_by_autograd(name, options):
    """150 weights of a logistic regression. Expected cosine: 1 / √(1 + 151 / 20,000) = 0.996."""
    generator = torch.Generator().manual_seed(0)
    x_BI, y_B = torch.randn(64, 150, generator=generator), torch.randint(0, 2, (64,), generator=generator).float()
    theta = nn.Parameter(0.1 * torch.randn(150, generator=generator))

    def loss():
        return nn.functional.binary_cross_entropy_with_logits((x_BI @ theta).double(), y_B.double())

    loss().backward()
    gradient_P, theta.grad = theta.grad.clone(), None
    before = theta.detach().clone()
    optimizer = OPTIMIZERS[name]([theta], **{"num_directions": 20_000, "seed": 1} | options)
    optimizer.step(loss)
    applied_P = before - theta.detach() if isinstance(optimizer, ZOSGD) else theta.grad
    assert torch.cosine_similarity(applied_P, gradient_P, dim=0).item() >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{"streamed": False}, {"streamed": True}, {"streamed": True, "dtype": torch.bfloat16}], ids=str)
def test_law_10000_evaluations_drift_by_nothing(kind):
    theta = nn.Parameter(torch.linspace(-1, 1, 64, dtype=kind.get("dtype", torch.float32)))
    before = theta.detach().clone()
    optimizer = ZOSGD([theta], zo_eps=1e-3, streamed=kind["streamed"])
    for _ in range(10_000):
        optimizer.probe(lambda: (theta.float() ** 2).sum())
    assert torch.equal(theta.detach(), before)


def test_law_a_loss_that_is_not_finite_changes_nothing_and_is_counted(make):
    theta, _, _ = quadratic(4)
    before = theta.detach().clone()
    optimizer = make([theta])
    optimizer.step(lambda: float("nan"))
    assert torch.equal(theta.detach(), before)
    assert (optimizer.skipped_steps, optimizer.steps_taken) == (1, 1)


def test_law_state_dict_continues_the_run(make):
    theta, loss, scale_P = quadratic(6)
    optimizer = make([theta])
    for _ in range(3):
        optimizer.step(loss)
    copy = nn.Parameter(theta.detach().clone())
    resumed = make([copy], seed=99)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # torch shares the tensors of a state dict
    assert resumed.update_settings == optimizer.update_settings
    for _ in range(2):
        optimizer.step(loss)
        resumed.step(lambda: 0.5 * (scale_P * copy**2).sum())
    assert torch.equal(theta.detach(), copy.detach())


def test_law_bf16_weights_move_and_state_is_fp32_and_a_replay_is_bitwise(make, tmp_path):
    """With a decimal of lr's usual size nearest rounding would keep every weight."""
    ends = []
    for replayed in (False, True):
        theta, _loss, scale_P = quadratic(300)
        theta.data = theta.data.bfloat16()
        optimizer = make([theta])
        optimizer.param_groups[0]["lr"] *= 1e-3
        if not replayed:
            optimizer.on_step = LogWriter(tmp_path / "log")
            before = theta.detach().clone()
            for _ in range(40):
                optimizer.step(lambda theta=theta, scale_P=scale_P: 0.5 * (scale_P * theta.float() ** 2).sum())
            optimizer.on_step.flush()
            assert not torch.equal(theta.detach(), before)
        else:
            replay(read_log(tmp_path / "log"), optimizer)
        assert theta.dtype == torch.bfloat16
        assert all(value.dtype == torch.float32 for slot in optimizer.state.values() for value in slot.values() if isinstance(value, torch.Tensor))
        ends.append(theta.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_bf16_weights_of_a_wrapped_optimizer_follow_fp32_ones(name):
    ends = []
    for dtype in (torch.float32, torch.bfloat16):
        theta, _, _scale_P = quadratic(2000)
        theta.data = theta.data.to(dtype)
        optimizer = OPTIMIZERS[name]([theta], zo_eps=5e-2)
        for group in optimizer.param_groups:
            group["lr"] *= 1e-2
        before = theta.detach().float().clone()
        optimizer.apply([0.3])
        optimizer.apply([-0.2])
        ends.append(theta.detach().float() - before)
    assert torch.cosine_similarity(*ends, dim=0).item() > 0.3  # each coordinate moves by less than bf16's spacing: the mean is right, not the single number
    assert (ends[1] @ ends[0] / (ends[0] @ ends[0])).item() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_law_state_dict_continues_a_bf16_run_bitwise(name):
    theta, _, _scale_P = quadratic(60)
    theta.data = theta.data.bfloat16()
    optimizer = OPTIMIZERS[name]([theta])
    for difference in (0.3, -0.2, 0.1):
        optimizer.apply([difference])
    copy = nn.Parameter(theta.detach().clone())
    resumed = OPTIMIZERS[name]([copy], seed=99)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    assert torch.equal(copy.detach(), theta.detach())
    for difference in (0.4, 0.2):
        optimizer.apply([difference])
        resumed.apply([difference])
    assert torch.equal(copy.detach(), theta.detach())


def test_zeroth_order_sgd_is_zosgd():
    first, loss_first, _ = quadratic(20)
    second, loss_second, _ = quadratic(20)
    plain, wrapped = ZOSGD([first], lr=0.05, seed=4), ZerothOrder(torch.optim.SGD([second], lr=0.05), seed=4)
    for _ in range(2):
        plain.step(loss_first)
        wrapped.step(loss_second)
    torch.testing.assert_close(first.detach(), second.detach(), rtol=1e-4, atol=1e-5)


def test_zeroth_order_adam_is_adam_on_the_estimate():
    theta, loss, _ = quadratic(8)
    twin = nn.Parameter(theta.detach().clone())
    optimizer, plain = ZerothOrder(torch.optim.AdamW([theta], lr=0.1), num_directions=2, seed=2), torch.optim.AdamW([twin], lr=0.1)
    seen = []
    optimizer.on_step = lambda step, differences: seen.append(differences)
    for step in range(5):
        optimizer.step(loss)
        twin.grad = sum(d / 1e-3 / 2 * draw(Direction(2, step, k), size=8) for k, d in enumerate(seen[-1]))
        plain.step()
    torch.testing.assert_close(theta.detach(), twin.detach())


def test_groups_of_a_wrapped_optimizer_have_their_own_eps():
    first, second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    optimizer = ZerothOrder(torch.optim.SGD([{"params": [first], "zo_eps": 1e-2}, {"params": [second]}], lr=0.1), zo_eps=1e-3, seed=0)
    z = draw(Direction(0, 0), size=5)
    seen = []
    optimizer.step(lambda: seen.append(torch.cat([first, second]).detach().clone()) or 0.0)
    torch.testing.assert_close(seen[0], torch.ones(5) + z * torch.tensor([1e-2] * 3 + [1e-3] * 2))


def test_the_number_of_directions_may_follow_a_schedule():
    theta, loss, _ = quadratic(5)
    optimizer = ZOSGD([theta], lr=0.01, directions_at=lambda step: step + 1)
    calls = []
    for _ in range(3):
        optimizer.step(lambda: calls.append(None) or loss())
    assert len(calls) == 2 * (1 + 2 + 3)


def test_law_torch_schedulers_drive_it(make):
    theta, loss, _ = quadratic(3)
    optimizer = make([theta])
    optimizer.param_groups[0]["lr"] = 1.0
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    optimizer.step(loss)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.75)


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"zo_eps": 0.0}, {"num_directions": 0}, {"weight_decay": -0.1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        ZOSGD([nn.Parameter(torch.ones(1))], **bad)
