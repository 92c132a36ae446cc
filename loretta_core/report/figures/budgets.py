"""Figure of the best validation score over the number of trials: what a smaller tuning budget would have found. One line per contender.

For random search the expected best of k trials, up to half of them; a search that learns from its trials has no such estimator, so its best score so far is
drawn and named so.
"""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.ticker import MaxNLocator

from loretta_core.report.figures.series import left_out_note, look_of, panels_of
from loretta_core.report.figures.style import legend_below, panels, settle, styled, to_svg, wrapped
from loretta_core.report.inference.tuning_budget import best_so_far, expected_best
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.tuning import Algorithm, has_budget


def budgets(contenders: Iterable[ContenderResult], *, name: str, algorithm: Algorithm) -> tuple[str, str]:
    """Return the figure as SVG, and what its caption must add. Empty where no contender has as many finished trials as the verdict asks for."""
    groups = panels_of(filter(has_budget, contenders))
    if not groups:
        return "", ""
    looks = look_of(groups)
    curve, words = (expected_best, "expected best") if algorithm == "random" else (best_so_far, "best so far:")
    with styled():
        figure, axes = panels(len(groups), columns=2 if len(groups) > 1 else 1, width=7.6 if len(groups) == 1 else 5.6, height=4.2)
        for panel, group in zip(axes, groups, strict=True):
            for member in group.members:
                look, found = looks[member.name], curve(member.trial_scores)
                panel.plot(
                    range(1, len(found) + 1), found, color=look.colour, marker=look.marker, linestyle=look.dash, linewidth=1.3, markersize=look.size - 1,
                    markeredgecolor="white", markeredgewidth=0.6, label=member.name,
                )  # fmt: skip
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set(xlabel="trials", ylabel=f"{words} {group.metric} on validation data", title=wrapped(group.title))
        legend_below(figure, axes, title="contender")
        settle(figure)
        return to_svg(figure, name=name), left_out_note(groups)
