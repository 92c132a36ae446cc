"""The Ray actor to which running cells report their scores, and the scores of earlier cells with which it starts: `asha.py` on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.scheduling.asha import AshaScores
from jobs.scheduling.driver_node import driver_node_options
from jobs.tracking.journal import Journal
from loretta_core.config import CellConfig
from loretta_core.config.sweep.limits import EarlyStopping
from loretta_core.store.early_stops import EarlyStop
from loretta_core.store.records import Record

if TYPE_CHECKING:
    from ray.actor import ActorHandle

Points = Sequence[tuple[float, float]]
"""(share of a cell's steps, validation score)."""

PastCell = tuple[CellConfig, Points]
"""A cell that is finished or was stopped early, with its points."""


@dataclass(frozen=True)
class AshaActor:
    """A picklable client of the actor; every process of a sweep may have one."""

    handle: ActorHandle
    """Ray's handle of an `AshaScores`."""

    def report_score(self, cell_json: str, *, share: float, score: float) -> str:
        """Report a validation score after a share of a cell's steps. Returns why the cell should end there, or ""."""
        import ray

        return ray.get(self.handle.report_score.remote(cell_json, share=share, score=score))


def start_asha_actor(rule: EarlyStopping, history: Sequence[PastCell]) -> AshaActor:
    """Start an actor that knows the scores of the cells in `history`."""
    import ray

    handle = ray.remote(AshaScores).options(**driver_node_options()).remote(rule)
    ray.get([handle.load_history.remote(cell.to_json(), list(points)) for cell, points in history])
    return AshaActor(handle)


def asha_history(cells: Sequence[CellConfig], *, finished: Mapping[str, Record], stopped: Mapping[str, EarlyStop]) -> list[PastCell]:
    """Collect the scores of the sweep's earlier cells: of finished ones from their records, of stopped ones from the notes of early stops."""
    found = [(cell, record_points(finished[cell.cell_id])) for cell in cells if cell.cell_id in finished]
    return found + [(cell, stopped[cell.cell_id].points) for cell in cells if cell.cell_id in stopped and cell.cell_id not in finished]


def record_points(record: Record) -> Points:
    """Extract the points of a finished cell from its record."""
    return [(step / record.cost.steps, score) for step, score in record.curves.get("validation_score", []) if record.cost.steps]


def read_points(journal: Path) -> Iterator[tuple[float, float]]:
    """Read the points of a cell without a record from its journal."""
    points = Journal(journal).new_points()
    shares = {point.step: point.value for point in points if point.name == "share_of_steps"}
    return ((shares[point.step], point.value) for point in points if point.name == "validation_score" and point.step in shares)
