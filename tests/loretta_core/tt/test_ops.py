"""The fast product against its slow twins, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loretta_core.tt import init, ops, reference
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import tt_shape

small = st.integers(1, 40)


def random_cores(shape, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator, dtype=dtype).requires_grad_() for size in shape.core_sizes]


@given(small, small, st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_dense_is_the_definition(in_features, out_features, rank, seed):
    shape = tt_shape(in_features, out_features, rank=rank)
    cores = random_cores(shape, seed=seed)
    torch.testing.assert_close(ops.to_dense(cores, shape=shape), reference.dense_by_definition(cores, shape=shape))


# Wide and narrow, padded (67, 131) and not, contracted and rebuilt (mid ranks above 7.98 for 4096 x 8).
@pytest.mark.parametrize(("in_features", "out_features", "rank"), [(48, 36, 5), (36, 48, 5), (67, 10, 3), (10, 131, 4), (128, 8, 8), (8, 128, 8), (72, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_fast_product_equals_both_twins(in_features, out_features, rank, bias):
    shape = tt_shape(in_features, out_features, rank=rank)
    cores = random_cores(shape)
    x = torch.randn(6, in_features, dtype=torch.float64, requires_grad=True)
    b = torch.randn(out_features, dtype=torch.float64, requires_grad=True) if bias else None
    leaves = [x, *cores, *([b] if bias else [])]
    weights = torch.randn(6, out_features, dtype=torch.float64)

    outputs = [
        ops.apply(x, cores, shape=shape, bias=b),
        reference.apply_core_by_core(x, cores, shape=shape) + (b if bias else 0),
        torch.nn.functional.linear(x, reference.dense_by_definition(cores, shape=shape), b),
    ]
    gradients = [torch.autograd.grad((output * weights).sum(), leaves) for output in outputs]
    for output, gradient in zip(outputs[1:], gradients[1:], strict=True):
        torch.testing.assert_close(outputs[0], output)
        torch.testing.assert_close(gradients[0], gradient)


@pytest.mark.parametrize("modes", [[5, 7, 4], [20, 7], [7, 20], [4, 5, 7]])
@pytest.mark.parametrize("bias", [True, False])
def test_a_straddling_core_is_rebuilt_as_defined(modes, bias):
    shape = tt_shape(10, 14, rank=3, shape=modes)
    assert not shape.aligned
    cores = random_cores(shape)
    x = torch.randn(6, 10, dtype=torch.float64, requires_grad=True)
    b = torch.randn(14, dtype=torch.float64, requires_grad=True) if bias else None
    leaves = [x, *cores, *([b] if bias else [])]
    outputs = [
        ops.apply(x, cores, shape=shape, bias=b),
        reference.apply_rebuilt(x, cores, shape=shape, bias=b),
        torch.nn.functional.linear(x, reference.dense_by_definition(cores, shape=shape), b),
    ]
    gradients = [torch.autograd.grad(output.square().sum(), leaves) for output in outputs]
    for output, gradient in zip(outputs[1:], gradients[1:], strict=True):
        torch.testing.assert_close(outputs[0], output)
        torch.testing.assert_close(gradients[0], gradient)


@pytest.mark.parametrize(("in_features", "out_features"), [(96, 64), (128, 8)])
def test_leading_dimensions_pass_through(in_features, out_features):
    shape = tt_shape(in_features, out_features, rank=8)
    cores = random_cores(shape)
    x = torch.randn(2, 3, in_features, dtype=torch.float64)
    y = ops.apply(x, cores, shape=shape)
    assert y.shape == (2, 3, out_features)
    torch.testing.assert_close(y[1], ops.apply(x[1], cores, shape=shape))
    assert ops.apply(x[0, 0], cores, shape=shape).shape == (out_features,)


def test_padding_changes_the_cores_and_not_the_layer():
    layer = TTLinear(67, 131, rank=4)
    assert layer(torch.ones(2, 67)).shape == (2, 131)
    assert layer.to_dense().shape == (131, 67)
    assert f"padding={layer.shape.padding_overhead:.1%}" in repr(layer)


def test_contraction_keeps_no_copy_of_the_activations():
    # Only the thin product, x itself and the two halves: core by core would keep N x (in/k) x r per core.
    layer = TTLinear(1024, 64, rank=5)
    saved = 0

    def count(tensor):
        nonlocal saved
        saved += tensor.untyped_storage().nbytes() if tensor.data_ptr() != x.data_ptr() else 0
        return tensor

    x = torch.randn(512, 1024, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        layer(x)
    assert saved < 0.1 * x.nbytes


@pytest.mark.parametrize(("in_features", "out_features", "rank"), [(768, 64, 5), (64, 768, 5), (4096, 64, 16)])
def test_variance_of_the_starting_matrix(in_features, out_features, rank):
    entries = []
    for seed in range(20):
        layer = TTLinear(in_features, out_features, rank=rank, generator=torch.Generator().manual_seed(seed))
        entries.append(layer.to_dense().detach().flatten())
    variance = torch.cat(entries).var() * (in_features + out_features)
    assert 0.7 < variance < 1.4


def test_zero_init_is_the_zero_map_with_a_gradient():
    layer = TTLinear(48, 32, rank=3, zero_init=True)
    x = torch.randn(5, 48)
    y = layer(x)
    assert not y.any()
    y.sum().backward()
    assert [bool(core.grad.any()) for core in layer.cores] == [False] * (len(layer.cores) - 1) + [True]


def test_randomness_is_an_argument():
    state = torch.get_rng_state()
    layers = [TTLinear(48, 32, rank=3, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(left, right) for left, right in zip(*(layer.parameters() for layer in layers), strict=True))


def test_the_layer_shows_its_layout_and_its_cores_are_fp32_in_order():
    layer = TTLinear(768, 64, rank=5)
    assert [tuple(core.shape) for core in layer.cores] == list(layer.shape.core_sizes) == [(1, 12, 5), (5, 8, 5), (5, 8, 5), (5, 8, 5), (5, 8, 1)]
    assert {core.dtype for core in layer.cores} == {torch.float32}
    assert sum(parameter.numel() for parameter in layer.parameters()) == 700 + 64
    assert "modes=(12, 8, 8, 8, 8)" in repr(layer)
    assert TTLinear(768, 64, rank=5, bias=False).bias is None


def test_init_functions_leave_no_graph():
    shape = tt_shape(12, 8, rank=2)
    cores = random_cores(shape)
    init.zero_last_(cores, shape=shape)
    assert all(core.requires_grad and core.grad_fn is None for core in cores)
