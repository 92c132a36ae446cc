"""Placement of labels: none covers another, and as little as possible is moved."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report.figures.placement import Label, place, spread
from loretta_core.report.figures.style import PALETTE, panels, styled

pytestmark = pytest.mark.integration


def test_a_point_without_a_place_for_its_name_goes_without(tmp_path):
    """Fifty cells at one point: the names that are written do not overlap."""
    with styled():
        figure, (axes,) = panels(1, columns=1, width=6, height=4)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        figure.draw_without_rendering()
        placed = place(axes, [Label(x=0.5, y=0.5, text=f"method number {index}", colour=PALETTE[0]) for index in range(50)])
        written = [text.get_window_extent() for text in axes.texts if text.get_text()]
        frame = axes.get_window_extent()
    assert 5 < placed < 50
    assert placed == len(written)
    assert not [1 for a, b in itertools.combinations(written, 2) if a.overlaps(b)]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in written)


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0.5, 50))
def test_spread_keeps_distance_order_and_centre(positions, gap):
    result = spread(positions, gap=gap)
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = [result[index] for index in order]
    assert all(later - earlier >= gap * (1 - 1e-9) - 1e-9 for earlier, later in itertools.pairwise(moved))
    assert sum(result) == pytest.approx(sum(positions), abs=1e-6 * (1 + sum(positions)))


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20))
def test_spread_stays_inside_if_it_can(positions):
    result = spread(positions, gap=10, low=200, high=500)
    assert min(result) >= 200 - 1e-6
    assert max(result) <= 500 + 1e-6
    assert all(later - earlier >= 10 - 1e-6 for earlier, later in itertools.pairwise(sorted(result)))


@given(st.lists(st.integers(0, 1000), unique=True, max_size=10))
def test_spread_leaves_alone_what_is_apart(positions):
    assert spread([20.0 * position for position in positions], gap=10) == [20.0 * position for position in positions]
