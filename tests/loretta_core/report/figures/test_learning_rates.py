"""Validation score over the learning rate: only where it was tuned; chosen and failed trials are marked."""

from xml.etree import ElementTree

import pytest

from loretta_core.report.figures.learning_rates import learning_rates
from loretta_core.report.verdict.tuning import trial_points
from tests.loretta_core.report.figures.svg import SVG, boxes_of_names, size, texts
from tests.loretta_core.report.figures.tried import contenders_with

pytestmark = pytest.mark.integration


def drawn_lines(svg):
    """How many series have a line: paths that are clipped to the panel."""
    return sum("clip-path" in path.attrib and "stroke-width: 1.3" in path.attrib.get("style", "") for path in ElementTree.fromstring(svg).iter(f"{SVG}path"))


def test_points_are_the_finished_trials_by_learning_rate():
    (contender,) = contenders_with([(0.7, 0.9, None, 0.8)])
    assert trial_points(contender) == [(1e-4, 0.7), (1e-3, 0.9), (1e-1, 0.8)]


def test_a_series_for_each_contender():
    svg, note = learning_rates(contenders_with([(0.7, 0.9, 0.8, 0.5), (0.6, 0.7, 0.8, 0.9)]), name="x")
    assert {"lora r=1 · adam", "lora r=2 · adam", "0.0001", "0.1", "learning rate (logarithmic)"} <= set(texts(svg))
    assert (drawn_lines(svg), note) == (2, "")


def test_no_line_where_other_settings_differ_too():
    settings = [("trainer.lr=0.001", "trainer.steps=100"), ("trainer.lr=0.01", "trainer.steps=200")]
    svg, _ = learning_rates(contenders_with([(0.7, 0.9)], settings=settings), name="x")
    assert drawn_lines(svg) == 0
    assert "lora r=1 · adam" in texts(svg)


def test_failed_trials_at_one_learning_rate_are_counted():
    svg, _ = learning_rates(contenders_with([(0.7, 0.9, 0.8, None), (0.6, 0.7, 0.8, None), (0.6, 0.7, 0.7, None)]), name="x")
    assert "3" in texts(svg)


@pytest.mark.parametrize("settings", [[("trainer.steps=100",), ("trainer.steps=200",)], [("trainer.lr=0.001",)]])
def test_no_figure_without_two_learning_rates(settings):
    scores = [(0.7, 0.9)[: len(settings)]]
    assert learning_rates(contenders_with(scores, settings=settings), name="x") == ("", "")


@pytest.mark.parametrize(("count", "drawn"), [(20, 20), (25, 12)])
def test_the_legend_of_many_contenders_fits(count, drawn):
    svg, note = learning_rates(contenders_with([(0.5 + index / 100, 0.6, 0.55) for index in range(count)]), name="x")
    width, height = size(svg)
    found = boxes_of_names(svg, {f"lora r={rank} · adam" for rank in range(1, count + 1)})
    assert len(found) == drawn
    assert all(x > 0 and x + 5 * len(name) < width and 0 < y < height for name, x, y in found)
    assert bool(note) == (count > 20)
