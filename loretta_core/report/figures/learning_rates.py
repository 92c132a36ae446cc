"""Figure of the trials' validation score over the learning rate: one series per contender, one panel per model and task.

Trials that differ in the learning rate alone are joined by a line; where other settings differ too, a line would join what does not belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from loretta_core.report.figures.series import Look, Panel, left_out_note, look_of, panels_of
from loretta_core.report.figures.style import INK, MUTED, legend_below, panels, settle, styled, to_svg, wrapped
from loretta_core.report.verdict.contenders import ContenderResult, validation_score
from loretta_core.report.verdict.tuning import has_learning_rates, learning_rate, trial_points

SETTING = "trainer.lr"
"""The setting on the horizontal axis."""


def learning_rates(contenders: Iterable[ContenderResult], *, name: str) -> tuple[str, str]:
    """Return the figure as SVG, and what its caption must add. Empty where no contender has trials at two learning rates."""
    groups = panels_of(filter(has_learning_rates, contenders))
    if not groups:
        return "", ""
    looks = look_of(groups)
    with styled():
        figure, axes = panels(len(groups), columns=2 if len(groups) > 1 else 1, width=7.6 if len(groups) == 1 else 5.6, height=4.2)
        for panel, group in zip(axes, groups, strict=True):
            for member in group.members:
                _draw(panel, member, look=looks[member.name])
            _draw_failed(panel, group.members, looks=looks)
            _frame(panel, group)
        legend_below(figure, axes, title="contender")
        settle(figure)
        return to_svg(figure, name=name), left_out_note(groups)


def _draw(axes: Axes, contender: ContenderResult, *, look: Look) -> None:
    points = trial_points(contender)
    alone = set(contender.tuned) == {SETTING}
    axes.plot(
        *zip(*points, strict=True), color=look.colour, marker=look.marker, linestyle=look.dash if alone else "none", linewidth=1.3, markersize=look.size,
        markeredgecolor="white", markeredgewidth=0.6, label=contender.name,
    )  # fmt: skip
    if contender.winner and (x := learning_rate(contender.winner)) and (y := validation_score(contender.winner)) is not None:
        axes.plot([x], [y], marker="o", markersize=12, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1, linestyle="none")


def _draw_failed(axes: Axes, members: Sequence[ContenderResult], *, looks: Mapping[str, Look]) -> None:
    """Draw a cross at the lower edge for failed trials: in the colour of the contender, or for several at one learning rate with their number."""
    failed: dict[float, list[str]] = {}
    for member in members:
        for row in member.trials:
            if row.status == "failed" and (x := learning_rate(row)):
                failed.setdefault(x, []).append(member.name)
    edge = axes.get_xaxis_transform()  # x in data, y in the height of the panel
    for x, names in failed.items():
        colour = looks[names[0]].colour if len(set(names)) == 1 else MUTED
        axes.plot([x], [0.025], transform=edge, marker="x", markersize=7, color=colour, markeredgewidth=1.6, linestyle="none")
        if len(names) > 1:
            axes.annotate(str(len(names)), (x, 0.025), xycoords=edge, xytext=(7, 0), textcoords="offset points", va="center", fontsize=9, color=INK)


def _frame(axes: Axes, group: Panel) -> None:
    axes.set_xscale("log")
    axes.margins(x=0.06, y=0.1)
    low, high = axes.get_xlim()
    subs = (1, 2, 3, 5) if high / low < 20 else (1, 3) if high / low < 200 else (1,)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="learning rate (logarithmic)", ylabel=f"{group.metric} on validation data", title=wrapped(group.title))
