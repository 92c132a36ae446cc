"""What a closure may return, and the random numbers that it draws."""

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.variants import Batched

BAD = {
    "nothing": (lambda weight: None, TypeError, "the closure returned NoneType"),
    "words": (lambda weight: "0.5", TypeError, "the closure returned str"),
    "an output": (lambda weight: CausalLMOutput(loss=weight.sum()), TypeError, "loss"),
    "several numbers": (lambda weight: weight * 2, ValueError, r"shape \(3,\); expected one number"),
    "a complex number": (lambda weight: weight.sum() * 1j, ValueError, "expected a real loss"),
    "backward": (lambda weight: weight.sum().backward(), RuntimeError, r"the closure calls backward\(\)"),
}


@pytest.mark.parametrize("estimator", ["two_sided", "one_sided"])
@pytest.mark.parametrize(("loss", "error", "said"), BAD.values(), ids=BAD)
def test_what_is_no_loss_is_said_to_be_none_and_nothing_has_moved(loss, error, said, estimator):
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(error, match=said):
        ZOSGD([weight], estimator=estimator).step(lambda: loss(weight))
    assert torch.equal(weight.detach(), torch.ones(3))


def test_errors_of_the_closure_are_its_own():
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2"):
        ZOSGD([weight]).step(lambda: torch.ones(2, 2) @ torch.ones(3, 3))


@pytest.mark.parametrize("loss", [lambda w: float(w.sum()), lambda w: w.sum(), lambda w: w.sum().reshape(1, 1), lambda w: int(w.sum() * 1000)])
def test_numbers_and_tensors_with_one_number_are_losses(loss):
    weight = nn.Parameter(torch.ones(3))
    assert ZOSGD([weight]).step(lambda: loss(weight)) > 0


@pytest.mark.filterwarnings("error")
def test_a_loss_with_a_graph_is_a_loss():
    weight = nn.Parameter(torch.ones(3))
    with torch.enable_grad():
        assert ZOSGD([weight]).step(torch.enable_grad()(lambda: weight.sum())) > 0


def test_a_loss_in_half_precision_is_named():
    weight = nn.Parameter(torch.ones(3))
    with pytest.warns(UserWarning, match="a loss in torch.bfloat16, whose rounding"):
        ZOSGD([weight], zo_eps=0.5).step(lambda: weight.sum().bfloat16())


def masks_of(optimizer, weight, dropout, *, steps):
    """The masks that every evaluation drew, by step."""
    found = []

    def loss():
        mask = dropout(torch.ones(16))
        found[-1].append(mask)
        return (weight * mask).sum()

    for _ in range(steps):
        found.append([])
        optimizer.step(loss)
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda params: ZOSGD(params, num_directions=2),
        lambda params: ZOSGD(params, num_directions=2, estimator="one_sided"),
        lambda params: ZOSGD(params, num_directions=2, streamed=True),
        lambda params: ZOSGD(params, num_directions=2, estimator="forward_gradient"),
        lambda params: ZerothOrder(torch.optim.AdamW(params), num_directions=2),
    ],
)
def test_all_evaluations_of_a_step_see_the_same_masks_and_the_next_step_others(make):
    weight = nn.Parameter(torch.ones(16))
    steps = masks_of(make([weight]), weight, nn.Dropout(0.5), steps=3)
    assert all(len({tuple(mask.tolist()) for mask in masks}) == 1 for masks in steps)
    assert len({tuple(masks[0].tolist()) for masks in steps}) == 3


def test_a_step_leaves_the_generator_where_one_evaluation_does():
    weight = nn.Parameter(torch.ones(16))
    dropout = nn.Dropout(0.5)
    torch.manual_seed(3)
    masks_of(ZOSGD([weight], num_directions=3), weight, dropout, steps=2)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    for _ in range(2):
        dropout(torch.ones(16))
    assert torch.equal(torch.get_rng_state(), after)


def test_one_forward_for_all_variants_draws_the_masks_of_serial_ones():
    ends = []
    for batched in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 1)).train()
        x_BI = torch.randn(4, 6)
        optimizer = ZOSGD(model.parameters(), lr=0.01, num_directions=2)
        if batched:
            optimizer.evaluator = Batched(model)
        ends.append([optimizer.step(lambda model=model, x_BI=x_BI: model(x_BI).square().mean()) for _ in range(4)])
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


def test_a_batched_closure_must_return_a_tensor():
    model = nn.Linear(3, 1)
    optimizer = ZOSGD(model.parameters())
    optimizer.evaluator = Batched(model)
    with pytest.raises(TypeError, match="to be batched it must return a tensor"):
        optimizer.step(lambda: 0.5)
    for number in (lambda: float(model(torch.ones(1, 3))), lambda: model(torch.ones(1, 3)).numpy()):
        with pytest.raises(TypeError, match="to be batched it must return a tensor"):
            optimizer.step(number)
    with pytest.raises(RuntimeError, match=r"the closure calls backward\(\)"):
        optimizer.step(lambda: model(torch.ones(1, 3)).backward())
    with pytest.raises(ValueError, match="expected one number"):
        optimizer.step(lambda: model(torch.ones(2, 3)))


@pytest.mark.gpu
def test_masks_are_the_same_on_a_gpu():
    weight = nn.Parameter(torch.ones(16, device="cuda"))
    found = []

    def loss():
        mask = nn.functional.dropout(torch.ones(16, device="cuda"), 0.5)
        found.append(tuple(mask.tolist()))
        return (weight * mask).sum()

    optimizer = ZOSGD([weight], num_directions=2)
    for _ in range(2):
        optimizer.step(loss)
    assert [len(set(found[:4])), len(set(found[4:])), len(set(found))] == [1, 1, 2]
