"""Figure of the score over a cost: one point per cell, one panel per model and task.

Bars are 95 % intervals, the staircase is the Pareto front, the dashed line the score before any training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from loretta_core.report.figures.placement import Label, place
from loretta_core.report.figures.style import MUTED, colour_of, marker_of, panels, settle, styled, to_svg, wrapped
from loretta_core.report.pareto import CostOf, front
from loretta_core.report.rows import ResultRow


def scatter(rows: Sequence[ResultRow], *, name: str, cost: CostOf, axis: str, unit: Callable[[float], str], ticks: Sequence[float] = ()) -> str:
    """Return the score over `cost` (logarithmic) as SVG; empty when no row has both.

    Args:
        unit: writes a tick.
        ticks: where ticks may stand; by default at 1, 2, 3, 5 times powers of ten.
    """
    shown = [row for row in rows if row.score is not None and (cost(row) or 0) > 0]
    if not shown:
        return ""
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in shown:
        groups.setdefault((row.labels["model"], row.labels["task"]), []).append(row)
    trainers = sorted({row.labels["trainer"] for row in shown})
    with styled():
        figure, axes = panels(len(groups), columns=2 if len(groups) > 1 else 1, width=7.6 if len(groups) == 1 else 5.6, height=4.6)
        for panel, ((model, task), members) in zip(axes, groups.items(), strict=True):
            _pareto_front(panel, members, cost=cost)
            _points(panel, members, cost=cost, trainers=trainers)
            _frame(panel, members, cost=cost, unit=unit, ticks=ticks)
            score = f"{members[0].record.score.name} on test data" if members[0].record else "score"
            panel.set(xlabel=axis, ylabel=score, title=wrapped(f"{model} on {task}"))
        legend = {name: handle for panel in axes for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
        columns = legend_columns(legend, width=figure.get_figwidth())
        figure.set_figheight(figure.get_figheight() + 0.23 * (math.ceil(len(legend) / columns) - 1))
        figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns, title="trained with")
        settle(figure)
        for panel, members in zip(axes, groups.values(), strict=True):
            _label(panel, members, cost=cost, trainers=trainers)
        return to_svg(figure, name=name)


def legend_columns(names: Iterable[str], *, width: float) -> int:
    """Return how many entries of a legend fit side by side into `width` inches: 6.2 points a letter, 50 for the marker and the gaps."""
    return max(1, min(3, len(list(names)), int(width * 72 / (50 + 6.2 * max(map(len, names))))))


def _pareto_front(axes: Axes, rows: Sequence[ResultRow], *, cost: CostOf) -> None:
    """Draw the Pareto front as a staircase: the best score that a cost buys."""
    members = front(rows, cost=cost)
    if len(members) > 1:
        axes.step([cost(row) for row in members], [row.score for row in members], where="post", color=MUTED, linewidth=1, alpha=0.7, zorder=1)


def _points(axes: Axes, rows: Sequence[ResultRow], *, cost: CostOf, trainers: Sequence[str]) -> None:
    colours, markers = colour_of(trainers), marker_of(trainers)
    for trainer in trainers:
        members = [row for row in rows if row.labels["trainer"] == trainer]
        if not members:
            continue
        scores = [row.score or 0.0 for row in members]
        below, above = zip(*map(_interval, members), strict=True)
        axes.errorbar(
            [cost(row) for row in members], scores, yerr=[below, above], label=_legend_entry(members[0]), linestyle="none",
            marker=markers[trainer], markersize=7, color=colours[trainer], markeredgecolor="white", elinewidth=1.2, capsize=2,
        )  # fmt: skip


def _legend_entry(row: ResultRow) -> str:
    return f"{row.labels['trainer']} ({'forward passes only' if row.cell.trainer.zeroth_order else 'gradients'})"


def _interval(row: ResultRow) -> tuple[float, float]:
    record, score = row.record, row.score
    if record is None or score is None or record.score.low is None or record.score.high is None:
        return 0.0, 0.0
    return max(0.0, score - record.score.low), max(0.0, record.score.high - score)


def _frame(axes: Axes, rows: Sequence[ResultRow], *, cost: CostOf, unit: Callable[[float], str], ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    costs = [value for row in rows if (value := cost(row))]
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
    level = _initial_score(rows)
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


def _initial_score(rows: Sequence[ResultRow]) -> float | None:
    """Return the score before training, where the cells agree on it; fresh heads do not."""
    scores = [row.record.score.initial for row in rows if row.record and row.record.score.initial is not None]
    return sum(scores) / len(scores) if scores and max(scores) - min(scores) < 0.02 else None


def spaced_ticks(ticks: Sequence[float], *, low: float, high: float) -> list[float]:
    """Return the ticks in the range that are at least a ninth of the axis apart, so that their labels do not touch."""
    kept: list[float] = []
    for tick in ticks:
        if low <= tick <= high and (not kept or math.log(tick / kept[-1]) >= math.log(high / low) / 9):
            kept.append(tick)
    return kept


def _label(axes: Axes, rows: Sequence[ResultRow], *, cost: CostOf, trainers: Sequence[str]) -> None:
    """Write the method's name at the best point of each method and trainer; seeds and other repetitions share it."""
    colours = colour_of(trainers)
    best: dict[tuple[str, str], Label] = {}
    for row in rows:  # rows come best first
        x = cost(row)
        if x and row.score is not None:
            best.setdefault(
                (row.labels["method"], row.labels["trainer"]), Label(x=x, y=row.score, text=row.labels["method"], colour=colours[row.labels["trainer"]])
            )
    place(axes, list(best.values()), obstacles=[*_bars(axes, rows, cost=cost), *_texts(axes), *_initial_score_line(axes, rows)])


def _bars(axes: Axes, rows: Sequence[ResultRow], *, cost: CostOf) -> list[Bbox]:
    boxes = []
    for row in rows:
        below, above = _interval(row)
        (x, low), (_, high) = axes.transData.transform([(cost(row), (row.score or 0) - below), (cost(row), (row.score or 0) + above)])
        boxes.append(Bbox.from_extents(x - 3, low, x + 3, high))
    return boxes


def _texts(axes: Axes) -> list[Bbox]:
    return [text.get_window_extent() for text in axes.texts]


def _initial_score_line(axes: Axes, rows: Sequence[ResultRow]) -> list[Bbox]:
    """Return the box of the dashed line across the panel."""
    level = _initial_score(rows)
    if level is None:
        return []
    frame = axes.get_window_extent()
    height = axes.transData.transform((1, level))[1]
    return [Bbox.from_extents(frame.x0, height - 1, frame.x1, height + 1)]
