"""The figures of a comparison, in the order of the report, each with the sentence that explains it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loretta_core.report import units
from loretta_core.report.figures.budgets import budgets
from loretta_core.report.figures.curves import loss_curves
from loretta_core.report.figures.learning_rates import learning_rates
from loretta_core.report.figures.scatter import scatter
from loretta_core.report.pareto import COSTS
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.tuning import Algorithm
from loretta_core.report.verdict.values import Standing


@dataclass(frozen=True)
class Drawing:
    """One figure with its title and caption."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    svg: str


REPORT_FIGURES = ("score_against_parameters", "score_against_time", "learning_rates", "tuning_budget", "training_loss")
"""Figures of report.html, where they have something to show; the page of a server has two more costs."""


def draw(standings: Sequence[Standing], *, names: Sequence[str] = REPORT_FIGURES, algorithm: Algorithm = "random") -> list[Drawing]:
    """Draw the named figures of contenders, in this order; those that have nothing to show are left out.

    Args:
        algorithm: how the trials were chosen.
    """
    drawings = (_drawing(standings, name=name, algorithm=algorithm) for name in names)
    return [drawing for drawing in drawings if drawing.svg]


def _drawing(standings: Sequence[Standing], *, name: str, algorithm: Algorithm) -> Drawing:
    if name == "training_loss":
        return _training_loss(standings)
    if name == "learning_rates":
        return _learning_rates(standings)
    if name == "tuning_budget":
        return _tuning_budget(standings, algorithm=algorithm)
    return _score_against(standings, name=name, axis=_COST_AXES[name])


@dataclass(frozen=True)
class _CostAxis:
    """The horizontal axis of a figure of the score over a cost."""

    key: str
    words: str
    unit: Callable[[float], str]
    caption: str
    ticks: Sequence[float] = ()


_READING = (
    "Each point is one contender, the mean over its seeds, named by its method (where there is no room, the name is left out). Bars are 95 % intervals over "
    "seeds and test rows, with one seed over rows alone; the verdict says which contenders are separated. The line joins the contenders that no other beats in "
    "both; the dashed one is the model before any training."
)

_COST_AXES = {
    "score_against_parameters": _CostAxis(
        "trainable_params",
        "trainable parameters",
        units.short_count,
        f"Up and to the left is better: a higher score with fewer numbers to train and store. {_READING}",
    ),
    "score_against_time": _CostAxis(
        "train_seconds",
        "training time",
        units.tick_seconds,
        "Up and to the left is better: a higher score in less time. Time is that of the training steps, without loading and evaluation.",
        units.TIME_TICKS,
    ),
    "score_against_memory": _CostAxis(
        "peak_memory_bytes",
        "peak memory",
        lambda value: units.size(round(value)),
        "Up and to the left is better. On a GPU it is device memory; on a CPU that of the whole process, libraries included.",
        units.SIZE_TICKS,
    ),
    "score_against_forwards": _CostAxis(
        "forwards",
        "forward passes",
        units.short_count,
        "Up and to the left is better. Passes of a batch in training: one per first-order step (which goes backward too), two per zeroth-order direction.",
    ),
}


def _score_against(standings: Sequence[Standing], *, name: str, axis: _CostAxis) -> Drawing:
    svg = scatter(standings, name=name, cost=COSTS[axis.key], axis=f"{axis.words} (logarithmic)", unit=axis.unit, ticks=axis.ticks)
    return Drawing(name=name, title=f"Score against {axis.words}", caption=axis.caption, svg=svg)


def _learning_rates(standings: Sequence[Standing]) -> Drawing:
    svg, note = learning_rates([standing.contender for standing in standings], name="learning_rates")
    caption = (
        "How the learning rate moves the score: each point is one trial, a ring marks the chosen one, a cross at the lower edge a trial that failed (a number: "
        f"so many). Lines join trials that differ in the learning rate alone.{note}"
    )
    return Drawing(name="learning_rates", title="Validation score over the learning rate", caption=caption, svg=svg)


def _tuning_budget(standings: Sequence[Standing], *, algorithm: Algorithm) -> Drawing:
    svg, note = budgets([standing.contender for standing in standings], name="tuning_budget", algorithm=algorithm)
    meaning = (
        "What fewer random trials would have found: the mean of the best validation score over all choices of that many of the finished trials, shown up to "
        "half of them."
        if algorithm == "random"
        else "The best validation score so far after each finished trial; not an expectation, because the search learns from its trials."
    )
    caption = f"{meaning} Where lines cross, which contender leads depends on the number of trials.{note}"
    return Drawing(name="tuning_budget", title="Validation score over the number of trials", caption=caption, svg=svg)


def cell_curve(row: ResultRow) -> str:
    """Return the training loss of one cell as SVG; empty when it has none."""
    return loss_curves([row], name="training_loss", empty_sides=False)


def _training_loss(standings: Sequence[Standing]) -> Drawing:
    rows = [row for standing in standings for row in standing.contender.replicates]
    return Drawing(
        name="training_loss",
        title="Training loss",
        caption="How each cell learned: on the left with gradients (first order), on the right with forward passes only (zeroth order, two forward passes "
        "per direction and step). Lower is better. Lines are running means over batches and seeds; the faint lines are single batches.",
        svg=loss_curves(rows, name="training_loss"),
    )
