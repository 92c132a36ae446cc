"""Figure of the training loss over steps: first-order cells on the left, zeroth-order cells on the right, one row of panels per model and task.

The two sides share the loss axis and not the step axis, because a step differs in cost (forward and backward pass against two forward passes).
A line is a running mean, over all seeds of otherwise equal cells; the faint ones behind it are the losses of single batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from loretta_core.report.figures.placement import spread
from loretta_core.report.figures.style import DASHES, MUTED, colour_of, ink, panels, settle, styled, to_svg, wrapped
from loretta_core.report.rows import ResultRow

Points = Sequence[tuple[int, float]]

SIDES = ((False, "with gradients"), (True, "with forward passes only"))
"""(zeroth order?, title of the side)."""

LABEL_GAP = 11.5
"""Distance of two names in points, which are pixels here."""

_WINDOW_SHARE = 0.12
"""Share of the logged points that the running mean covers."""


def loss_curves(rows: Sequence[ResultRow], *, name: str, empty_sides: bool = True) -> str:
    """Return the training losses as SVG; empty when no row has a curve. `empty_sides`: draw the side of a kind of training that no row has, and say so."""
    shown = [row for row in rows if _curve(row)]
    if not shown:
        return ""
    groups = list(dict.fromkeys((row.labels["model"], row.labels["task"]) for row in shown))
    colours = colour_of(sorted({row.labels["method"] for row in shown}), skip=2)  # the first two stand for trainers in the other figures
    sides = [(group, side, _lines_of(shown, group=group, zeroth_order=side[0])) for group in groups for side in SIDES]
    if not empty_sides:
        sides = [(group, side, lines) for group, side, lines in sides if lines]
    height = max(4.2, 1 + max(len(lines) for _, _, lines in sides) * LABEL_GAP / 72)
    with styled():
        figure, axes = panels(len(sides), columns=2, width=6.2, height=height)
        names: list[list[Annotation]] = []
        for index, (panel, ((model, task), (_, title), lines)) in enumerate(zip(axes, sides, strict=True)):
            if index % 2 and len(sides) % 2 == 0:
                panel.sharey(axes[index - 1])
            names.append(_write_names(panel, _draw(panel, lines, colours=colours)))
            above = wrapped(f"{model} on {task}") + "\n" if len(groups) > 1 else ""
            panel.set(xlabel="training step", ylabel="training loss", title=f"{above}Trained {title}")
        settle(figure)
        for panel, texts in zip(axes, names, strict=True):
            _align_names(panel, texts)
        return to_svg(figure, name=name)


def running_mean(points: Points, *, window: int) -> list[tuple[int, float]]:
    """Return the mean over the last `window` points at each step."""
    values = [value for _, value in points]
    return [(step, sum(values[max(0, index - window + 1) : index + 1]) / min(window, index + 1)) for index, (step, _) in enumerate(points)]


def mean_curve(curves: Sequence[Points]) -> list[tuple[int, float]]:
    """Return the mean at each step over the curves that have it."""
    at: dict[int, list[float]] = {}
    for curve in curves:
        for step, value in curve:
            at.setdefault(step, []).append(value)
    return [(step, sum(values) / len(values)) for step, values in sorted(at.items())]


def _lines_of(rows: Sequence[ResultRow], *, group: tuple[str, str], zeroth_order: bool) -> dict[str, list[ResultRow]]:
    """Return name of a line → its rows, which differ in the seed alone. What the rows of a panel share is not in the name."""
    side = [row for row in rows if (row.labels["model"], row.labels["task"]) == group and row.cell.trainer.zeroth_order == zeroth_order]
    lines: dict[str, list[ResultRow]] = {}
    for row in side:
        lines.setdefault(_line_name(row, side), []).append(row)
    return lines


def _line_name(row: ResultRow, rows: Sequence[ResultRow]) -> str:
    parts = [row.labels["method"]]
    for label in ("trainer", "precision", "batch_size"):
        if len({other.labels.get(label) for other in rows}) > 1:
            value = row.labels[label]
            parts.append(value if label == "trainer" else f"{label} {value}")
    return ", ".join(parts)


def _draw(axes: Axes, lines: dict[str, list[ResultRow]], *, colours: dict[str, str]) -> list[Line2D]:
    """Draw the curves; return the lines to name, one for each method and trainer."""
    named: list[Line2D] = []
    variants: dict[str, int] = {}
    for line, rows in lines.items():
        method = rows[0].labels["method"]
        variant = variants[method] = variants.get(method, -1) + 1
        for row in rows:
            if len(_curve(row)) > 1:
                axes.plot(*zip(*_curve(row), strict=True), color=colours[method], alpha=0.13, linewidth=0.8)
        points = mean_curve([_curve(row) for row in rows])
        smooth = running_mean(points, window=max(1, round(len(points) * _WINDOW_SHARE)))
        marker = "o" if len(smooth) == 1 else ""
        named += axes.plot(*zip(*smooth, strict=True), color=colours[method], linestyle=DASHES[variant % len(DASHES)], linewidth=1.8, marker=marker, label=line)
    if not lines:
        axes.text(0.5, 0.5, "no such cell in this sweep", transform=axes.transAxes, ha="center", color=MUTED)
    return named


def _write_names(axes: Axes, lines: Sequence[Line2D]) -> list[Annotation]:
    """Write the names of the lines right of the panel, before the layout, which then makes room for the longest."""
    return [
        axes.annotate(
            str(line.get_label()), (line.get_xdata()[-1], line.get_ydata()[-1]), xytext=(1.03, 0.5), textcoords="axes fraction",
            va="center", fontsize=9, color=ink(str(line.get_color())), annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkA": 0, "shrinkB": 1, "relpos": (0, 0.5)},
        )
        for line in lines
    ]  # fmt: skip


def _align_names(axes: Axes, texts: Sequence[Annotation]) -> None:
    """Move each name to the height of its line's end, and apart where names would touch."""
    frame = axes.get_window_extent()
    ends = [axes.transData.transform(text.xy)[1] for text in texts]
    for text, height in zip(texts, spread(ends, gap=LABEL_GAP, low=frame.y0, high=frame.y1), strict=True):
        text.set_position((1.03, (height - frame.y0) / frame.height))


def _curve(row: ResultRow) -> Points:
    if row.record is None or row.record.status != "finished":
        return ()
    return [(step, value) for step, value in row.record.curves.get("train_loss", ()) if math.isfinite(value)]
