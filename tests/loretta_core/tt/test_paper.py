"""`shape = "paper"`: the printed mode lists and the counts that follow from them."""

import math

import pytest

from loretta_core.errors import MethodError
from loretta_core.tt.paper import NARROWING_MODES, SQUARE_MODES, paper_modes
from loretta_core.tt.shapes import tt_parameter_count, tt_shape

SIZES = [(wide, narrow) for wide, row in NARROWING_MODES.items() for narrow in row]


@pytest.mark.parametrize(("wide", "narrow"), SIZES)
def test_every_list_fits_its_matrix_and_is_mirrored(wide, narrow):
    down, up = paper_modes(wide, narrow), paper_modes(narrow, wide)
    assert math.prod(down) == wide * narrow
    assert up == down[::-1]


@pytest.mark.parametrize("width", SQUARE_MODES)
def test_every_square_list_fits(width):
    assert math.prod(paper_modes(width, width)) == width * width


@pytest.mark.parametrize(
    ("sizes", "modes"),
    [
        ((768, 64), (8, 8, 12, 8, 8)),
        ((64, 768), (8, 8, 12, 8, 8)),
        ((4096, 64), (16, 16, 16, 4, 4, 4)),
        ((64, 4096), (4, 4, 4, 16, 16, 16)),
        ((4096, 8), (16, 16, 8, 4, 4)),
        ((768, 8), (8, 8, 12, 8)),
        ((8, 768), (8, 12, 8, 8)),
        ((8, 2304), (8, 8, 8, 4, 9)),
        ((16, 768), (4, 4, 12, 8, 8)),
        ((768, 768), (12, 8, 8, 8, 8, 12)),
    ],
)
def test_printed_lists(sizes, modes):
    assert tt_shape(*sizes, rank=5, shape="paper").modes == modes


def test_ranks_are_not_capped():
    shape = tt_shape(1024, 64, rank=64, shape="paper")
    assert shape.ranks == (1, 64, 64, 64, 64, 64, 1)
    assert tt_parameter_count(4096, 64, rank=64, shape="paper") == 165_120
    assert tt_parameter_count(4096, 64, rank=16, shape="paper") == 10_560
    assert tt_parameter_count(4096, 64, rank=5, shape="paper") == 1_100


def test_misaligned_lists_are_rebuilt():
    assert tt_shape(4096, 64, rank=5, shape="paper").contracts
    assert not tt_shape(4096, 8, rank=5, shape="paper").aligned
    assert not tt_shape(1024, 64, rank=5, shape="paper").contracts


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3072, 64), r"no modes for 3072 x 64; widths: 768, 1024"),
        ((768, 48), r"no modes for 768 x 48; bottlenecks of width 768: 5, 8, 16, 32, 64, 128. Take shape = 'auto'"),
        ((1024, 32), r"no modes for 1024 x 32"),
        ((5120, 5120), r"no modes for 5120 x 5120"),
    ],
)
def test_sizes_without_a_list_are_refused(sizes, message):
    with pytest.raises(MethodError, match=message):
        tt_shape(*sizes, rank=5, shape="paper")
