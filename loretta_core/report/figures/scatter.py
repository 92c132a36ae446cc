"""Figure of the score over a cost: one point per contender, one panel per model and task.

Bars are 95 % intervals, the staircase is the Pareto front, the dashed line the score before any training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from loretta_core.report.figures.placement import Label, place
from loretta_core.report.figures.style import MUTED, colour_of, legend_below, marker_of, panels, settle, styled, to_svg, wrapped
from loretta_core.report.pareto import CostOf, front_of
from loretta_core.report.verdict.values import Standing


@dataclass(frozen=True)
class Point:
    """A contender in the figure."""

    model: str
    task: str
    name: str
    """Name without the trainer, which the legend tells."""
    trainer: str
    zeroth_order: bool
    x: float
    """Median cost over its seeds."""
    y: float
    """Mean score over its seeds."""
    below: float
    """Length of the bar below the score, 0 where no interval is known."""
    above: float
    metric: str
    initial: tuple[float, ...]
    """Scores before training."""


def scatter(standings: Sequence[Standing], *, name: str, cost: CostOf, axis: str, unit: Callable[[float], str], ticks: Sequence[float] = ()) -> str:
    """Return the score over `cost` (logarithmic) as SVG; empty when no contender has both.

    Args:
        unit: writes a tick.
        ticks: where ticks may stand; by default at 1, 2, 3, 5 times powers of ten.
    """
    shown = [point for standing in standings if (point := _point(standing, cost)) is not None]
    if not shown:
        return ""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in shown:
        groups.setdefault((point.model, point.task), []).append(point)
    trainers = sorted({point.trainer for point in shown})
    with styled():
        figure, axes = panels(len(groups), columns=2 if len(groups) > 1 else 1, width=7.6 if len(groups) == 1 else 5.6, height=4.6)
        for panel, ((model, task), members) in zip(axes, groups.items(), strict=True):
            _pareto_front(panel, members)
            _points(panel, members, trainers=trainers)
            _frame(panel, members, unit=unit, ticks=ticks)
            panel.set(xlabel=axis, ylabel=f"{members[0].metric} on test data", title=wrapped(f"{model} on {task}"))
        legend_below(figure, axes, title="trained with")
        settle(figure)
        for panel, members in zip(axes, groups.values(), strict=True):
            _label(panel, members, trainers=trainers)
        return to_svg(figure, name=name)


def _point(standing: Standing, cost: CostOf) -> Point | None:
    contender, score = standing.contender, standing.score
    costs = [value for row in contender.scored if (value := cost(row))]
    if score is None or not costs:
        return None
    below, above = (0.0, 0.0) if score.low is None or score.high is None else (max(0.0, score.value - score.low), max(0.0, score.high - score.value))
    records = [row.record for row in contender.scored if row.record]
    initial = tuple(record.score.initial for record in records if record.score.initial is not None)
    zeroth_order = contender.scored[0].cell.trainer.zeroth_order
    return Point(
        contender.model,
        contender.task,
        " · ".join(part for part in contender.name.split(" · ") if part != contender.trainer) or contender.method,
        contender.trainer,
        zeroth_order,
        median(costs),
        score.value,
        below,
        above,
        records[0].score.name,
        initial,
    )


def _pareto_front(axes: Axes, points: Sequence[Point]) -> None:
    """Draw the Pareto front as a staircase: the best score that a cost buys."""
    members = [points[index] for index in front_of([(point.x, point.y) for point in points])]
    if len(members) > 1:
        axes.step([point.x for point in members], [point.y for point in members], where="post", color=MUTED, linewidth=1, alpha=0.7, zorder=1)


def _points(axes: Axes, points: Sequence[Point], *, trainers: Sequence[str]) -> None:
    colours, markers = colour_of(trainers), marker_of(trainers)
    for trainer in trainers:
        members = [point for point in points if point.trainer == trainer]
        if not members:
            continue
        axes.errorbar(
            [point.x for point in members], [point.y for point in members], yerr=[[point.below for point in members], [point.above for point in members]],
            label=f"{trainer} ({'forward passes only' if members[0].zeroth_order else 'gradients'})", linestyle="none",
            marker=markers[trainer], markersize=7, color=colours[trainer], markeredgecolor="white", elinewidth=1.2, capsize=2,
        )  # fmt: skip


def _frame(axes: Axes, points: Sequence[Point], *, unit: Callable[[float], str], ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    costs = [point.x for point in points]
    low, high = min(costs) / 1.8, max(costs) * 2.6  # room for labels on the right
    axes.set_xlim(low, high)
    narrow = max(costs) / min(costs) < 20
    axes.xaxis.set_major_locator(
        FixedLocator(spaced_ticks(ticks, low=low, high=high)) if ticks else LogLocator(base=10, subs=(1, 2, 3, 5) if narrow else (1,), numticks=12)
    )
    if ticks:
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.12)
    level = _initial_score(points)
    if level is not None:
        axes.axhline(level, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        axes.annotate(
            "before training",
            (0.995, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=MUTED,
        )


def _initial_score(points: Sequence[Point]) -> float | None:
    """Return the score before training, where the cells agree on it; fresh heads do not."""
    scores = [score for point in points for score in point.initial]
    return sum(scores) / len(scores) if scores and max(scores) - min(scores) < 0.02 else None


def spaced_ticks(ticks: Sequence[float], *, low: float, high: float) -> list[float]:
    """Return the ticks in the range that are at least a ninth of the axis apart, so that their labels do not touch."""
    kept: list[float] = []
    for tick in ticks:
        if low <= tick <= high and (not kept or math.log(tick / kept[-1]) >= math.log(high / low) / 9):
            kept.append(tick)
    return kept


def _label(axes: Axes, points: Sequence[Point], *, trainers: Sequence[str]) -> None:
    """Write the name of each contender beside its point, the best first."""
    colours = colour_of(trainers)
    labels = [Label(x=point.x, y=point.y, text=point.name, colour=colours[point.trainer]) for point in points]  # they come best first
    place(axes, labels, obstacles=[*_bars(axes, points), *_texts(axes), *_initial_score_line(axes, points)])


def _bars(axes: Axes, points: Sequence[Point]) -> list[Bbox]:
    boxes = []
    for point in points:
        (x, low), (_, high) = axes.transData.transform([(point.x, point.y - point.below), (point.x, point.y + point.above)])
        boxes.append(Bbox.from_extents(x - 3, low, x + 3, high))
    return boxes


def _texts(axes: Axes) -> list[Bbox]:
    return [text.get_window_extent() for text in axes.texts]


def _initial_score_line(axes: Axes, points: Sequence[Point]) -> list[Bbox]:
    """Return the box of the dashed line across the panel."""
    level = _initial_score(points)
    if level is None:
        return []
    frame = axes.get_window_extent()
    height = axes.transData.transform((1, level))[1]
    return [Bbox.from_extents(frame.x0, height - 1, frame.x1, height + 1)]
