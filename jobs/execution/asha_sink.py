"""A running cell's side of early stopping (`scheduling/asha.py`): after each evaluation it reports its score, and ends when others do better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from jobs.failures.outcome import StoppedEarly

if TYPE_CHECKING:
    from jobs.execution.group_comm import GroupComm


class AshaClient(Protocol):
    """The interface that a running cell reports its scores to (`scheduling.asha_actor.AshaActor`)."""

    def report_score(self, cell_json: str, *, share: float, score: float) -> str:
        """Record a validation score after a share of a cell's steps. Return why the cell should end there, or ""."""
        ...


class AshaSink:
    """A MetricSink that records nothing: it ends the running cell, on all ranks, when other cells do better."""

    def __init__(self, asha: AshaClient, cell_json: str, comm: GroupComm) -> None:
        self._asha = asha
        self._cell_json = cell_json
        self._comm = comm

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report a validation score from rank 0. Raises StoppedEarly on all ranks when the cell should end."""
        if "validation_score" not in metrics:
            return
        reason = self._report(metrics) if self._comm.rank == 0 else ""
        if self._comm.max(int(bool(reason))):
            raise StoppedEarly(reason)

    def _report(self, metrics: Mapping[str, float]) -> str:
        return self._asha.report_score(self._cell_json, share=metrics["share_of_steps"], score=metrics["validation_score"])

    def close(self, status: str, summary: object) -> None:
        """Do nothing: no resource is open."""
