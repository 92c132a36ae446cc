"""The actor that running cells ask whether others do better, and what it knows from before: `asha.py` on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.execution.ray_session import beside_driver
from jobs.tracking.journal import Journal
from loretta_core.config import CellConfig
from loretta_core.config.sweep.limits import EarlyStopping
from loretta_core.store.early_stops import EarlyStop
from loretta_core.store.records import Record

Points = Sequence[tuple[float, float]]
"""(share of a cell's steps, validation score)."""

PastCell = tuple[CellConfig, Points]
"""A cell that is over, with its points."""


def start(rule: EarlyStopping, judged: Sequence[PastCell]) -> Any:
    """An actor of a `AshaScores` that knows the cells that are over."""
    import ray

    from jobs.scheduling.asha import AshaScores

    referee = ray.remote(AshaScores).options(**beside_driver()).remote(rule)
    ray.get([referee.recall.remote(cell.to_json(), list(points)) for cell, points in judged])
    return referee


def asha_history(cells: Sequence[CellConfig], *, finished: Mapping[str, Record], stopped: Mapping[str, EarlyStop]) -> list[PastCell]:
    """The cells of a sweep that are over, from their records and from the notes of early stops."""
    found = [(cell, points_of(finished[cell.cell_id])) for cell in cells if cell.cell_id in finished]
    return found + [(cell, stopped[cell.cell_id].points) for cell in cells if cell.cell_id in stopped and cell.cell_id not in finished]


def points_of(record: Record) -> Points:
    """Of a finished cell."""
    return [(step / record.cost.steps, score) for step, score in record.curves.get("validation_score", []) if record.cost.steps]


def points_in(journal: Path) -> Iterator[tuple[float, float]]:
    """Of a cell without a record."""
    points = Journal(journal).new_points()
    shares = {point.step: point.value for point in points if point.name == "share_of_steps"}
    return ((shares[point.step], point.value) for point in points if point.name == "validation_score" and point.step in shares)
