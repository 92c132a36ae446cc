"""Placement of labels beside their points that cover neither each other nor the points.

Greedy: points in order, and for each the first of the positions around it whose rectangle is free; a label far from its point gets a thin leader line. A label
without a free position is left out (the table has it) rather than made unreadable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from loretta_core.report.figures.style import MUTED, ink


@dataclass(frozen=True)
class Label:
    """A text for the data point (x, y)."""

    x: float
    y: float
    text: str
    colour: str


# (dx, dy) in points, with the text's anchor: near positions first, then rings further out.
_NEAR = ((8, 0, "left"), (-8, 0, "right"), (6, 9, "left"), (6, -9, "left"), (-6, 9, "right"), (-6, -9, "right"), (0, 13, "center"), (0, -13, "center"))
_POSITIONS = (*_NEAR, *((sign * 12, dy, "left" if sign > 0 else "right") for dy in (18, -18, 28, -28, 40, -40, 54, -54, 70, -70) for sign in (1, -1)))
_LEADER_FROM = 16


def place(axes: Axes, labels: Sequence[Label], *, obstacles: Iterable[Bbox] = ()) -> int:
    """Write the labels and return how many found a place. Axis limits and layout must be final."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[union-attr]
    pixels = axes.figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    points = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = [*obstacles, *(Bbox.from_bounds(x - 5 * pixels, y - 5 * pixels, 10 * pixels, 10 * pixels) for x, y in points)]
    placed = 0
    for label in labels:
        text = axes.annotate(
            label.text, (label.x, label.y), xytext=(0, 0), textcoords="offset points", va="center", fontsize=9, color=ink(label.colour),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
        )  # fmt: skip
        for dx, dy, side in _POSITIONS:
            text.set_ha(side)
            text.set_position((dx, dy))
            box = text.get_window_extent(renderer)
            if frame.containsx(box.x0) and frame.containsx(box.x1) and frame.containsy(box.y0) and frame.containsy(box.y1) and not box.count_overlaps(taken):
                taken.append(box)
                placed += 1
                if abs(dy) >= _LEADER_FROM:
                    _leader(axes, label, offset=(dx, dy))
                break
        else:
            text.remove()
    return placed


def spread(positions: Sequence[float], *, gap: float, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Move positions apart, as little as needed, until neighbours are at least `gap` apart; a group keeps its centre and stays within [low, high]."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    clusters: list[tuple[list[int], float]] = []  # (members, first position)
    for index in order:
        members, start = [index], min(max(positions[index], low), high)
        while clusters and clusters[-1][1] + gap * len(clusters[-1][0]) > start:
            members = clusters.pop()[0] + members
            start = sum(positions[member] - gap * rank for rank, member in enumerate(members)) / len(members)
            start = max(min(start, high - gap * (len(members) - 1)), low)
        clusters.append((members, start))
    result = [0.0] * len(positions)
    for members, start in clusters:
        for rank, member in enumerate(members):
            result[member] = start + gap * rank
    return result


def _leader(axes: Axes, label: Label, *, offset: tuple[float, float]) -> None:
    axes.annotate(
        "", (label.x, label.y), xytext=offset, textcoords="offset points", arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 2, "shrinkB": 4}
    )
