"""TT-SVD and rounding: exact where the rank suffices, within the bound where it does not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loretta_core.tt import ops
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import tt_shape
from loretta_core.tt.svd import tt_round, tt_svd

small = st.integers(1, 40)


def random_matrix(out_features, in_features, *, seed=0):
    return torch.randn(out_features, in_features, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_train(shape, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator, dtype=torch.float64) for size in shape.core_sizes]


def best_errors(matrix_IO, shape):
    """Return for each unfolding the error of the best matrix of that rank (Eckart-Young): no train of these ranks can be nearer."""
    flat = matrix_IO.reshape(-1)
    errors, left = [], 1
    for mode, rank in zip(shape.modes[:-1], shape.ranks[1:-1], strict=True):
        left *= mode
        errors.append(torch.linalg.svdvals(flat.reshape(left, -1))[rank:].square().sum().sqrt().item())
    return errors


@given(small, small, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_error_is_within_the_bound_and_the_bound_within_theory(in_features, out_features, rank, seed):
    matrix = random_matrix(out_features, in_features, seed=seed)
    shape = tt_shape(in_features, out_features, rank=rank)
    found = tt_svd(matrix, shape=shape)
    assert [core.shape for core in found.cores] == [torch.Size(size) for size in shape.core_sizes]
    assert found.shape == shape
    error = (ops.to_dense(found.cores, shape=shape) - matrix).norm().item()
    slack = 1e-9 * (1 + matrix.norm().item())
    assert error <= found.error_bound + slack
    padded = torch.nn.functional.pad(matrix.t(), (0, shape.padded_out - out_features, 0, shape.padded_in - in_features))
    optimal = best_errors(padded, shape)
    assert max(optimal, default=0.0) - slack <= found.error_bound <= sum(value**2 for value in optimal) ** 0.5 + slack


@given(small, small, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_train_of_the_rank_is_found_again(in_features, out_features, rank, seed):
    shape = tt_shape(in_features, out_features, rank=rank)
    matrix = ops.to_dense(random_train(shape, seed=seed), shape=shape)
    found = tt_svd(matrix, shape=shape)
    torch.testing.assert_close(ops.to_dense(found.cores, shape=shape), matrix, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("setting", ["paper", [64, 768], [96, 16, 32]])
def test_layouts_that_are_not_aligned_or_not_capped(setting):
    shape = tt_shape(768, 64, rank=40, shape=setting)
    found = tt_svd(random_matrix(64, 768), shape=shape)
    assert [core.shape for core in found.cores] == [torch.Size(size) for size in shape.core_sizes]
    assert (ops.to_dense(found.cores, shape=shape) - random_matrix(64, 768)).norm().item() <= found.error_bound * (1 + 1e-9)


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 1e-9])
def test_a_tolerance_is_kept_with_fewer_ranks(tolerance):
    shape = tt_shape(48, 36, rank=99)
    smooth = torch.outer(torch.linspace(0, 1, 36).exp(), torch.linspace(0, 3, 48).cos()).double() + 0.05 * random_matrix(36, 48)
    found = tt_svd(smooth, shape=shape, tolerance=tolerance)
    assert (ops.to_dense(found.cores, shape=found.shape) - smooth).norm() <= tolerance * smooth.norm()
    assert found.error_bound <= tolerance * smooth.norm().item()
    if tolerance == 0.5:
        assert found.shape.parameter_count < shape.parameter_count / 10
    assert [core.shape for core in found.cores] == [torch.Size(size) for size in found.shape.core_sizes]


@given(small, small, st.integers(2, 8), st.integers(1, 8), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_rounding_is_as_good_as_the_svd_of_the_rebuilt_matrix(in_features, out_features, rank, lower, seed):
    shape = tt_shape(in_features, out_features, rank=rank)
    cores = random_train(shape, seed=seed)
    matrix = ops.to_dense(cores, shape=shape)
    rounded = tt_round(cores, shape=shape, rank=lower)
    assert max(rounded.shape.ranks) <= max(lower, 1)
    error = (ops.to_dense(rounded.cores, shape=rounded.shape) - matrix).norm().item()
    slack = 1e-9 * (1 + matrix.norm().item())
    assert error <= rounded.error_bound + slack
    direct = tt_svd(matrix, shape=tt_shape(in_features, out_features, rank=lower))
    # Equal for aligned layouts without padding: both truncate the same unfoldings.
    if shape.padding_overhead == 0:
        assert rounded.error_bound == pytest.approx(direct.error_bound, rel=1e-6, abs=slack)


def test_rounding_removes_ranks_that_carry_nothing():
    shape = tt_shape(48, 36, rank=2)
    cores = random_train(shape)
    inflated = tt_svd(ops.to_dense(cores, shape=shape), shape=tt_shape(48, 36, rank=9))
    assert tt_round(inflated.cores, shape=inflated.shape, tolerance=1e-9).shape.ranks == shape.ranks


def test_a_layer_takes_over_a_matrix():
    weight = torch.randn(64, 768)
    layer = TTLinear(768, 64, rank=9999)  # capped: every unfolding in full
    bias = layer.bias.clone()
    bound = layer.set_dense_(weight)
    assert bound == 0.0
    torch.testing.assert_close(layer.to_dense(), weight, rtol=0, atol=1e-4)
    assert torch.equal(layer.bias, bias)
    low = TTLinear(768, 64, rank=5)
    bound = low.set_dense_(weight)
    assert 0.5 * weight.norm() < (low.to_dense() - weight).norm() <= bound * (1 + 1e-5)
    assert all(core.requires_grad and core.is_leaf for core in low.cores)
