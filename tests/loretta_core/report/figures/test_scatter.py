"""Score over a cost: logarithmic axes, round ticks, a legend that fits."""

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report import units
from loretta_core.report.figures.scatter import scatter, spaced_ticks
from tests.loretta_core.report.figures.svg import SVG, boxes_of_names, size, standings_with, texts
from tests.loretta_core.report.figures.tried import standings_of_trials
from tests.loretta_core.report.synthetic import make_cell, make_record

pytestmark = pytest.mark.integration


def by_parameters(standings):
    return scatter(standings, name="x", cost=lambda row: row.record.cost.trainable_params if row.record else None, axis="parameters", unit=units.short_count)


def marker_positions(svg):
    """x of the markers of the data points; those of the legend are not clipped."""
    clipped = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if "clip-path" in group.attrib]
    uses = [use for group in clipped for use in group.iter(f"{SVG}use") if "stroke: #ffffff" in use.attrib["style"]]
    return sorted(float(use.attrib["x"]) for use in uses)


def test_costs_are_on_a_logarithmic_axis(tmp_path):
    cells = [make_cell("lora", "adam", f"method.r={r}") for r in (1, 2, 4, 8)]
    svg = by_parameters(
        standings_with(tmp_path, *((cell, make_record(cell, cost={"trainable_params": 10**power})) for cell, power in zip(cells, (3, 4, 5, 6), strict=True)))
    )
    steps = [right - left for left, right in itertools.pairwise(marker_positions(svg))]
    assert len(steps) == 3
    assert max(steps) - min(steps) < 0.01 * max(steps)
    assert {"1k", "10k", "100k", "1M"} <= set(texts(svg))


@given(st.floats(1e-3, 5e5), st.floats(1, 1000))
def test_there_are_always_two_to_nine_time_ticks(low, ratio):
    """The axis spans a factor of 4.7 around its points."""
    assert 2 <= len(spaced_ticks(units.TIME_TICKS, low=low / 1.8, high=low * ratio * 2.6)) <= 9


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_legend_fits(tmp_path, count):
    cells = [make_cell("lora", "zo_sgd", f"trainer.lr={lr}", f"trainer.steps={100 + index}") for index, lr in enumerate([1e-5, 2e-5, 5e-5, 1e-4, 2e-4][:count])]
    svg = by_parameters(standings_with(tmp_path, *((cell, make_record(cell)) for cell in cells)))
    entries = {text for text in texts(svg) if text.endswith("(forward passes only)")}
    assert len(entries) == count
    width, height = size(svg)
    found = boxes_of_names(svg, entries)
    assert all(x > 0 and x + 5 * len(name) < width and 0 < y < height for name, x, y in found), (found, width)


def test_contenders_of_one_method_are_named_apart():
    svg = by_parameters(standings_of_trials([(0.7, 0.9), (0.6, 0.8)]))
    assert {"lora r=1", "lora r=2"} <= set(texts(svg))
