"""Figures of trials share two choices: the contenders that are drawn, and the look of each.

Up to twenty contenders of a task and model are told apart; of more, only the first twelve by validation score are drawn, and the caption says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loretta_core.report.figures.style import DASHES, MARKERS, PALETTE
from loretta_core.report.verdict.contenders import ContenderResult, by_task_and_model

MOST_SERIES = 20
"""Most contenders of a panel."""

SERIES_OF_MANY = 12
"""Contenders of a panel where there are more."""


@dataclass(frozen=True)
class Look:
    """The look of a contender's series. Of 64 contenders no two have both the same colour and the same marker."""

    colour: str
    marker: str
    dash: str

    @property
    def size(self) -> float:
        """The marker's size in points; a star is small for its size."""
        return 9 if self.marker == "*" else 6.5


@dataclass(frozen=True)
class Panel:
    """The contenders of one task and model."""

    task: str
    model: str
    members: tuple[ContenderResult, ...]
    left_out: int
    """Contenders that are not drawn, because there are too many."""

    @property
    def title(self) -> str:
        """The model and the task in words."""
        return f"{self.model} on {self.task}"

    @property
    def metric(self) -> str:
        """Name of the validation score, by the first trial that has one."""
        return next(
            (row.record.score.name for member in self.members for row in member.trials if row.record and row.record.score.validation is not None), "score"
        )


def panels_of(contenders: Iterable[ContenderResult]) -> list[Panel]:
    """Return a panel for each task and model."""
    found = []
    for (task, model), members in by_task_and_model(contenders).items():
        best_first = sorted(members, key=lambda member: max(member.trial_scores, default=float("-inf")), reverse=True)
        kept = best_first if len(members) <= MOST_SERIES else best_first[:SERIES_OF_MANY]
        found.append(Panel(task, model, tuple(kept), left_out=len(members) - len(kept)))
    return found


def left_out_note(panels: Sequence[Panel]) -> str:
    """Return the sentence of a caption about contenders that are not drawn; empty where all are."""
    if not any(panel.left_out for panel in panels):
        return ""
    where = f", of {SERIES_OF_MANY + panels[0].left_out}" if len(panels) == 1 else f" where there are more than {MOST_SERIES}"
    return f" Only the first {SERIES_OF_MANY} contenders by validation score are drawn{where}."


def look_of(panels: Sequence[Panel]) -> dict[str, Look]:
    """Return name of a contender → its look, the same in all panels."""
    names = dict.fromkeys(member.name for panel in panels for member in panel.members)
    return {name: _look(index) for index, name in enumerate(names)}


def _look(index: int) -> Look:
    turn = index // len(PALETTE)  # once round the palette, the markers move on by one
    return Look(PALETTE[index % len(PALETTE)], MARKERS[(index + turn) % len(MARKERS)], DASHES[turn % len(DASHES)])
