"""Modes, ranks, padding and counts of tensor-train layouts."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loretta_core.errors import MethodError
from loretta_core.tt.shapes import LARGEST_MODE, factor, joint_modes, mirrored, tt_parameter_count, tt_shape

WIDTHS = st.integers(64, 32_768)

# Width, its modes, and the core parameters of width x 64 at rank 5 (reference table of LoRETTA-style layouts).
TABLE = [
    (256, (4, 8, 8), 580),
    (384, (6, 8, 8), 630),
    (512, (8, 8, 8), 680),
    (768, (8, 8, 12), 700),
    (1024, (8, 8, 16), 720),
    (1280, (8, 10, 16), 770),
    (1536, (8, 12, 16), 820),
    (1600, (10, 10, 16), 820),
    (2048, (8, 16, 16), 920),
    (2304, (12, 12, 16), 920),
    (2560, (10, 16, 16), 970),
    (2816, (11, 16, 16), 995),
    (3072, (6, 8, 8, 8), 830),
    (3584, (7, 8, 8, 8), 855),
    (4096, (8, 8, 8, 8), 880),
    (5120, (8, 8, 8, 10), 890),
    (8192, (8, 8, 8, 16), 920),
    (11008, (4, 8, 8, 43), 955),
    (13824, (8, 12, 12, 12), 1100),
    (14336, (8, 8, 14, 16), 1070),
    (28672, (7, 8, 8, 8, 8), 1055),
]


@pytest.mark.parametrize(("width", "modes", "count"), TABLE)
def test_widths_of_real_models(width, modes, count):
    assert factor(width) == modes
    down, up = tt_shape(width, 64, rank=5), tt_shape(64, width, rank=5)
    assert down.parameter_count == up.parameter_count == count
    assert down.modes == up.modes[::-1] == (*modes[::-1], 8, 8)
    assert down.padding_overhead == 0


@settings(deadline=None)
@given(WIDTHS)
def test_any_width_factors_into_modest_modes(width):
    modes = factor(width)
    assert list(modes) == sorted(modes)
    assert modes[0] >= 2
    assert modes[-1] <= LARGEST_MODE
    assert width <= math.prod(modes) <= 1.07 * width


@settings(deadline=None)
@given(st.integers(1, 63))
def test_small_widths_are_never_padded_and_need_few_modes(width):
    assert math.prod(factor(width)) == width
    assert len(factor(width)) <= 2


@pytest.mark.parametrize("width", [67, 127, 4099, 32_749])
def test_primes_are_padded_and_say_so(width):
    shape = tt_shape(width, 64, rank=5)
    assert width < shape.padded_in <= 1.07 * width
    assert shape.padding_overhead == pytest.approx(1 - width / shape.padded_in)
    assert shape.padded_out == 64


@settings(deadline=None)
@given(WIDTHS, WIDTHS, st.integers(1, 64))
def test_every_layout_is_aligned_and_capped(in_features, out_features, rank):
    shape = tt_shape(in_features, out_features, rank=rank)
    assert math.prod(shape.in_modes) == shape.padded_in
    assert math.prod(shape.out_modes) == shape.padded_out
    assert shape.ranks[0] == shape.ranks[-1] == 1
    assert len(shape.ranks) == len(shape.modes) + 1 == len(shape.core_sizes) + 1
    for cut, inner in enumerate(shape.ranks[1:-1], start=1):
        assert inner == min(rank, math.prod(shape.modes[:cut]), math.prod(shape.modes[cut:]))
    assert shape.mid_rank == min(rank, shape.padded_in, shape.padded_out)
    assert shape.parameter_count == sum(math.prod(size) for size in shape.core_sizes)


@pytest.mark.parametrize(
    ("shape", "in_features", "rank", "capped"),
    [
        ([16, 16, 16, 4, 4, 4], 4096, 5, 1_076),
        ([16, 16, 16, 4, 4, 4], 4096, 16, 9_744),
        ([16, 16, 16, 4, 4, 4], 4096, 64, 86_544),
        ([8, 8, 12, 8], 768, 16, 2_688),
    ],
)
def test_capped_counts(shape, in_features, rank, capped):
    out_features = math.prod(shape) // in_features
    assert tt_shape(in_features, out_features, rank=rank, shape=shape).parameter_count == capped
    assert tt_shape(out_features, in_features, rank=rank, shape=mirrored(shape)).parameter_count == capped


@pytest.mark.parametrize(
    ("sizes", "rank", "contracts"),
    [
        ((4096, 64), 62, True),
        ((4096, 64), 64, False),
        ((768, 64), 59, True),
        ((768, 64), 60, False),
        ((768, 768), 383, True),
        ((768, 768), 384, False),
        ((4096, 8), 7, True),
        ((4096, 8), 8, False),
    ],
)
def test_contraction_is_chosen_from_sizes(sizes, rank, contracts):
    assert tt_shape(*sizes, rank=rank).contracts == contracts
    assert tt_shape(*sizes[::-1], rank=rank).contracts == contracts


def test_an_explicit_list_splits_at_the_input_width():
    shape = tt_shape(768, 64, rank=5, shape=[8, 16, 6, 64])
    assert (shape.in_modes, shape.out_modes) == ((8, 16, 6), (64,))


def test_a_list_that_splits_nowhere_is_rebuilt():
    shape = tt_shape(768, 64, rank=5, shape=[1024, 48])
    assert not shape.aligned
    assert not shape.contracts
    assert shape.padding_overhead == 0


@pytest.mark.parametrize("bias", [True, False])
def test_counts_need_no_layer(bias):
    assert tt_parameter_count(768, 64, rank=5, bias=bias) == 700 + 64 * bias


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, r"tensor_rank = 0: expected at least 1"),
        ({"rank": -2}, r"tensor_rank = -2"),
        ({"rank": 5, "shape": "papper"}, r"'papper': expected 'auto', 'paper' or a list"),
        ({"rank": 5, "shape": [8, 8, 12, 8]}, r"multiplies to 6144, but the matrix is 768 x 64 = 49152; 'auto' takes \[12, 8, 8, 8, 8\]"),
        ({"rank": 5, "shape": [-8, -8, 12, 8, 8]}, r"at least 1"),
        ({"rank": 5, "shape": [49_152]}, r"shape = \[49152\]: a tensor train needs at least two modes"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(MethodError, match=message):
        tt_shape(768, 64, **arguments)


@pytest.mark.parametrize("widths", [(0, 8), (8, 0), (-1, 8)])
def test_widths_must_be_positive(widths):
    with pytest.raises(MethodError, match="at least 1"):
        tt_shape(*widths, rank=2)


def test_importing_shapes_does_not_import_torch():
    code = "import sys, loretta_core.tt.shapes, loretta_core.sites; sys.exit(int('torch' in sys.modules or 'numpy' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("width", "columns"), [(768, 8), (64, 1), (67, 5), (1, 3)])
def test_two_matrices_in_one_train_have_a_mode_of_their_own(width, columns):
    modes, rows, padded = joint_modes(width, columns)
    assert modes[0] == 2
    assert math.prod(modes) == 2 * rows * padded
    assert rows >= width
    assert padded >= columns
