"""θ is bitwise untouched by evaluation, whatever happens inside."""

import pytest
import torch
from torch import nn

from loretta_core.zo.estimator import probe
from loretta_core.zo.parameters.flat import FlatParameters


@pytest.fixture
def parameters():
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(3, 4), (5,), (1, 2, 2)]]


def test_packing_keeps_values_and_identity(parameters):
    before = [parameter.detach().clone() for parameter in parameters]
    flat = FlatParameters(parameters)
    assert len(flat) == 21
    assert all(torch.equal(parameter, value) for parameter, value in zip(parameters, before, strict=True))
    flat.theta_P.add_(1.0)
    assert all(torch.equal(parameter, value + 1.0) for parameter, value in zip(parameters, before, strict=True))


def test_evaluation_sees_both_sides_and_leaves_theta_bitwise(parameters):
    flat = FlatParameters(parameters)
    before = flat.theta_P.clone()
    shift = torch.full((21,), 0.25)
    seen = []

    def closure():
        seen.append(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        return torch.tensor(1.0)

    for _ in range(100):
        probe(closure, storage=flat, shifts=[shift])
    assert torch.equal(flat.theta_P, before)
    assert torch.equal(seen[0], before + shift)
    assert torch.equal(seen[1], before - shift)


def test_an_exception_leaves_theta_in_place(parameters):
    flat = FlatParameters(parameters)
    before = [parameter.detach().clone() for parameter in parameters]

    def broken():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        probe(broken, storage=flat, shifts=[torch.ones(21)])
    assert all(torch.equal(parameter, value) for parameter, value in zip(parameters, before, strict=True))


def test_other_dtypes_and_nothing_are_refused(parameters):
    with pytest.raises(ValueError, match="fp32 on one device"):
        FlatParameters([*parameters, nn.Parameter(torch.ones(2, dtype=torch.bfloat16))])
    with pytest.raises(ValueError, match="no trainable parameter"):
        FlatParameters([])
