"""Loss curves: names that can be read, one line for all seeds, means by hand."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report.figures.curves import loss_curves, mean_curve, running_mean
from tests.loretta_core.report.figures.svg import boxes_of_names, rows_with, size, texts
from tests.loretta_core.report.synthetic import make_cell, make_record, plausible_record

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("count", [5, 12, 24])
def test_names_of_lines_stay_apart_and_inside(tmp_path, count):
    """Also when the curves end at the same point, and with names of 40 letters."""
    cells = [make_cell("loretta_adp", "adam", f"method.tensor_rank={rank}", f"method.bottleneck_size={64 + rank}") for rank in range(1, count + 1)]
    svg = loss_curves(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)), name="x")
    names = {f"loretta_adp tensor_rank={rank} bottleneck_size={64 + rank}" for rank in range(1, count + 1)}
    found = boxes_of_names(svg, names)
    assert {name for name, _, _ in found} == names
    heights = sorted(y for _, _, y in found)
    width, height = size(svg)
    assert all(later - earlier > 10 for earlier, later in itertools.pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < height
    assert all(x + 4.2 * len(name) < width for name, x, _ in found)


def test_seeds_share_a_line(tmp_path):
    cells = [make_cell("lora", "adam", f"seed={seed}") for seed in range(3)]
    noise = random.Random(0)
    svg = loss_curves(rows_with(tmp_path, *((cell, plausible_record(cell, noise=noise)) for cell in cells)), name="x")
    assert texts(svg).count("lora") == 1
    assert not [text for text in texts(svg) if "seed" in text]


def test_trainers_of_one_method_are_told_apart(tmp_path):
    cells = [make_cell("lora", "adam", f"trainer.lr={lr}") for lr in (1e-4, 1e-3)]
    svg = loss_curves(rows_with(tmp_path, *((cell, make_record(cell)) for cell in cells)), name="x")
    assert {"lora, adam lr=0.0001", "lora, adam lr=0.001"} <= set(texts(svg))


points = st.lists(st.floats(-100, 100), min_size=1, max_size=30).map(lambda values: list(enumerate(values)))


@given(points, st.integers(1, 10))
def test_running_mean(curve, window):
    smooth = running_mean(curve, window=window)
    assert [step for step, _ in smooth] == [step for step, _ in curve]
    values = [value for _, value in curve]
    assert smooth[-1][1] == pytest.approx(sum(values[-window:]) / len(values[-window:]))
    assert min(values) - 1e-9 <= min(value for _, value in smooth)


def test_mean_curve():
    assert mean_curve([[(0, 1.0), (5, 3.0)], [(0, 3.0), (5, 5.0), (9, 7.0)]]) == [(0, 2.0), (5, 4.0), (9, 7.0)]
    assert mean_curve([]) == []
