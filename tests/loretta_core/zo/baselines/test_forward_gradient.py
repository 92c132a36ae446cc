"""Forward-mode derivatives against autograd, on a quadratic and on whole models."""

import pytest
import torch
from torch import nn

from loretta_core.zo.estimator import probe
from loretta_core.zo.noise import Direction, draw
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.variants import Batched
from tests.loretta_core.zo.test_variants import closure_of, tuned


@pytest.mark.parametrize(("architecture", "method"), [("bert", "lora"), ("llama", "loretta_adp"), ("opt", "loretta_rep"), ("bert", "ft")])
def test_it_is_the_gradient_along_the_direction(architecture, method):
    model, parameters = tuned(architecture, method)
    closure = closure_of(model)
    loss = closure()
    loss.backward()
    gradient = torch.cat([p.grad.reshape(-1) if p.grad is not None else torch.zeros(p.numel()) for p in parameters])
    flat = FlatParameters(parameters)
    before = flat.theta_P.clone()
    shifts = [1e-3 * draw(Direction(0, 0, k), size=len(flat)) for k in range(2)]
    found = probe(closure, storage=flat, shifts=shifts, estimator="forward_gradient")
    assert found.differences == pytest.approx([float(gradient @ shift) for shift in shifts], rel=1e-3, abs=1e-7)
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    assert found.evaluations == 2
    assert torch.equal(flat.theta_P, before)


def test_what_it_cannot_do_is_refused():
    theta = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="without a derivative"):
        ZOSGD([theta], estimator="forward_gradient").step(lambda: 1.0)
    with pytest.raises(ValueError, match="no room"):
        ZOSGD([theta], estimator="forward_gradient", streamed=True).step(lambda: theta.sum())
    optimizer = ZOSGD([theta], estimator="forward_gradient")
    optimizer.evaluator = Batched(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="got Batched"):
        optimizer.step(lambda: theta.sum())
