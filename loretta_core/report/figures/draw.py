"""The figures of a comparison, in the order of the report, each with the sentence that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loretta_core.report import units
from loretta_core.report.figures.curves import loss_curves
from loretta_core.report.figures.scatter import scatter
from loretta_core.report.rows import Row


@dataclass(frozen=True)
class Drawing:
    """One figure."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    svg: str


def draw(rows: Sequence[Row]) -> list[Drawing]:
    """Every figure that has something to show."""
    drawings = [
        Drawing(
            name="score_against_parameters",
            title="Score against trainable parameters",
            caption="Up and to the left is better: a higher score with fewer numbers to train and store. Each point is one cell, named by its method (the "
            "best of several seeds; where there is no room, the name is left out). Bars are 95 % intervals: two cells whose bars overlap widely are not told "
            "apart by this test set. The dashed line is the model before any training.",
            svg=scatter(
                rows,
                name="score_against_parameters",
                cost=lambda row: row.record.trainable_params if row.record else None,
                axis="trainable parameters (logarithmic)",
                unit=units.short_count,
            ),
        ),
        Drawing(
            name="score_against_time",
            title="Score against training time",
            caption="Up and to the left is better: a higher score in less time. Time is that of the training steps, without loading and evaluation.",
            svg=scatter(
                rows,
                name="score_against_time",
                cost=lambda row: row.record.train_seconds if row.record else None,
                axis="training time (logarithmic)",
                unit=units.tick_seconds,
                ticks=units.TIME_TICKS,
            ),
        ),
        Drawing(
            name="training_loss",
            title="Training loss",
            caption="How each cell learned: on the left with gradients (first order), on the right with forward passes only (zeroth order, two forward passes "
            "per direction and step). Lower is better. Lines are running means over batches and seeds; the faint lines are single batches.",
            svg=loss_curves(rows, name="training_loss"),
        ),
    ]
    return [drawing for drawing in drawings if drawing.svg]
