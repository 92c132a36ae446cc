"""Training loss over steps: first-order cells on the left, zeroth-order cells on the right, one row of panels per model and task.

The two sides share the loss axis and not the step axis, because a step differs in cost (forward and backward pass against two forward passes).
The line is a running mean; the faint one behind it is the loss of each logged batch.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from loretta_core.report.figures.placement import spread
from loretta_core.report.figures.style import DASHES, MUTED, colour_of, ink, panels, settle, styled, to_svg
from loretta_core.report.rows import Row

Points = Sequence[tuple[int, float]]

SIDES = ((False, "with gradients"), (True, "with forward passes only"))
"""(zeroth order?, how the side is called)."""

_WINDOW_SHARE = 0.12
"""Share of the logged points that the running mean covers."""


def loss_curves(rows: Sequence[Row], *, name: str) -> str:
    """SVG of the training losses. Empty when no row has a curve."""
    shown = [row for row in rows if _curve(row)]
    if not shown:
        return ""
    groups = list(dict.fromkeys((row.labels["model"], row.labels["task"]) for row in shown))
    colours = colour_of(sorted({row.labels["method"] for row in shown}))
    with styled():
        figure, axes = panels(2 * len(groups), columns=2, width=5.6, height=4.2)
        for index, (model, task) in enumerate(groups):
            members = [row for row in shown if (row.labels["model"], row.labels["task"]) == (model, task)]
            pair = axes[2 * index : 2 * index + 2]
            pair[1].sharey(pair[0])
            for panel, (zeroth_order, title) in zip(pair, SIDES, strict=True):
                side = [row for row in members if row.cell.trainer.zeroth_order == zeroth_order]
                _lines(panel, side, colours=colours)
                panel.set(xlabel="training step", ylabel="training loss", title=f"{model} on {task}, {title}" if len(groups) > 1 else f"Trained {title}")
        figure.get_layout_engine().set(rect=(0, 0, 0.91, 1), wspace=0.22)  # room for the names at the line ends
        settle(figure)
        for panel in axes:
            _name_line_ends(panel)
        return to_svg(figure, name=name)


def running_mean(points: Points, *, window: int) -> list[tuple[int, float]]:
    """Mean over the last `window` points at each step."""
    values = [value for _, value in points]
    return [(step, sum(values[max(0, index - window + 1) : index + 1]) / min(window, index + 1)) for index, (step, _) in enumerate(points)]


def _lines(axes: Axes, rows: Sequence[Row], *, colours: dict[str, str]) -> None:
    variants: dict[str, int] = {}
    for row in rows:
        method = row.labels["method"]
        variant = variants[method] = variants.get(method, -1) + 1
        points = _curve(row)
        smooth = running_mean(points, window=max(1, round(len(points) * _WINDOW_SHARE)))
        if len(points) > 1:
            axes.plot(*zip(*points, strict=True), color=colours[method], alpha=0.13, linewidth=0.8)
        axes.plot(
            *zip(*smooth, strict=True), color=colours[method], linestyle=DASHES[variant % len(DASHES)], linewidth=1.8, label=_line_name(row, rows), gid="mean"
        )
    if not rows:
        axes.text(0.5, 0.5, "no such cell in this sweep", transform=axes.transAxes, ha="center", color=MUTED)


def _line_name(row: Row, rows: Sequence[Row]) -> str:
    """The method, and the trainer and seed where they tell lines of this panel apart."""
    parts = [row.labels["method"]]
    for label in ("trainer", "precision", "batch_size", "seed"):
        if len({other.labels.get(label) for other in rows}) > 1:
            value = row.labels[label]
            parts.append(value if label == "trainer" else f"{label} {value}")
    return ", ".join(parts)


def _name_line_ends(axes: Axes) -> None:
    """Names at the right ends of the lines, moved apart where they would touch."""
    lines = [line for line in axes.lines if line.get_gid() == "mean"]
    if not lines:
        return
    pixels = axes.figure.dpi / 72
    ends = [axes.transData.transform((line.get_xdata()[-1], line.get_ydata()[-1])) for line in lines]
    heights = spread([y for _, y in ends], gap=11.5 * pixels)
    right = max(x for x, _ in ends)
    for line, (x, y), height in zip(lines, ends, heights, strict=True):
        axes.annotate(
            str(line.get_label()), (x, y), xycoords="figure pixels", xytext=((right - x) / pixels + 10, (height - y) / pixels), textcoords="offset points",
            va="center", fontsize=9, color=ink(str(line.get_color())), arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkA": 0, "shrinkB": 1},
        )  # fmt: skip


def _curve(row: Row) -> Points:
    if row.record is None or row.record.status != "finished":
        return ()
    return row.record.curves.get("train_loss", ())
