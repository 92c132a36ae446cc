"""Cached factors (halves, or the rebuilt matrix): used when nothing trains, and never stale."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from loretta_core.tt import ops
from loretta_core.tt.linear import TTLinear
from loretta_core.zo.parameters.flat import FlatParameters


@pytest.fixture(params=["auto", [32, 54]], ids=["contracted", "rebuilt"])
def layer(request):
    layer = TTLinear(48, 36, rank=4, shape=request.param, generator=torch.Generator().manual_seed(0)).eval()
    assert layer.shape.contracts == (request.param == "auto")
    return layer


@pytest.fixture
def builds(monkeypatch):
    """Return a list that grows by one whenever factors are made."""
    calls = []
    build = ops.factors
    monkeypatch.setattr(ops, "factors", lambda *args, **kwargs: calls.append(1) or build(*args, **kwargs))
    return calls


def truth(layer, x):
    return nn.functional.linear(x, layer.to_dense(), layer.bias)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_factors_are_made_once_in_eval(layer, builds, context):
    x = torch.randn(3, 48)
    with context():
        first = layer(x)
        assert torch.equal(layer(x), first)
    assert len(builds) == 1
    torch.testing.assert_close(first, truth(layer, x))


def test_training_and_gradients_build_anew(layer, builds):
    x = torch.randn(3, 48)
    layer(x).sum().backward()
    layer(x).sum().backward()
    assert len(builds) == 2
    with torch.no_grad():
        layer.train()
        layer(x)
        layer(x)
    assert len(builds) == 4
    assert all(core.grad.any() for core in layer.cores)


def test_frozen_cores_are_cached_and_let_the_gradient_of_x_through(layer, builds):
    layer.requires_grad_(False)
    with torch.inference_mode():
        layer(torch.randn(1, 48))
    x = torch.randn(3, 48, requires_grad=True)
    layer(x).sum().backward()
    assert len(builds) == 1
    torch.testing.assert_close(x.grad, layer.to_dense().sum(0).expand(3, 48))


def in_place(layer):
    with torch.no_grad():
        layer.cores[0].mul_(2)


def through_data(layer):
    layer.cores[0].data.mul_(2)


def new_storage(layer):
    layer.cores[0].data = layer.cores[0].data * 2


def new_parameter(layer):
    layer.cores[0] = nn.Parameter(layer.cores[0].detach() * 2)


def optimizer_step(layer):
    layer(torch.ones(1, 48)).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.1).step()


def loaded_state(layer):
    layer.load_state_dict({name: value * 2 for name, value in layer.state_dict().items()})


def other_dtype(layer):
    layer.double()


@pytest.mark.parametrize("change", [in_place, through_data, new_storage, new_parameter, optimizer_step, loaded_state, other_dtype])
@pytest.mark.parametrize("frozen", [True, False])
def test_every_way_to_change_a_core_is_noticed(layer, change, frozen):
    if frozen and change is optimizer_step:
        pytest.skip("an optimizer does not step frozen cores")
    layer.requires_grad_(not frozen)
    x = torch.randn(3, 48)
    with torch.no_grad():
        before = layer(x)
    change(layer)
    x = x.to(layer.cores[0].dtype)
    with torch.no_grad():
        after = layer(x)
    torch.testing.assert_close(after, truth(layer, x).detach())
    assert change is other_dtype or not torch.equal(before, after)


def test_zeroth_order_probes_in_eval_see_their_own_parameters(layer):
    # Both sides of a probe live in the same scratch buffer: same address, same version counter.
    x = torch.randn(3, 48)
    flat = FlatParameters(list(layer.parameters()))
    with torch.no_grad():
        layer(x)
        for sign in (1.0, -1.0):
            with flat.shifted() as scratch:
                torch.add(flat.theta_P, sign * 0.1, out=scratch)
                torch.testing.assert_close(layer(x), truth(layer, x))
        torch.testing.assert_close(layer(x), truth(layer, x))


def test_functional_substitution_bypasses_the_cache(layer):
    x = torch.randn(3, 48)
    stacked = {name: torch.stack([value, 2 * value]) for name, value in layer.state_dict().items()}
    with torch.no_grad():
        layer(x)
        both = vmap(lambda parameters: functional_call(layer, parameters, (x,)))(stacked)
        one = functional_call(layer, {name: value[1] for name, value in stacked.items()}, (x,))
    torch.testing.assert_close(both[0], layer(x))
    torch.testing.assert_close(both[1], one)


@pytest.mark.parametrize("clone", [deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"])  # noqa: S301
def test_copies_do_not_share_the_cache(layer, builds, clone):
    x = torch.randn(3, 48)
    with torch.no_grad():
        before = layer(x)
        copy = clone(layer)
        assert torch.equal(copy(x), before)
        assert len(builds) == 2  # the copy made its own
        copy.cores[0].mul_(3)
        torch.testing.assert_close(copy(x), truth(copy, x))
        assert torch.equal(layer(x), before)
