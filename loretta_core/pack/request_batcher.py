"""Evaluate the requests of a pack: those of one batch key in one merged forward, or none of them if the model cannot be batched."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loretta_core.pack.merged_forward import EvalRequest, EvalResult, MergedForward
from loretta_core.train.pack_context import CellComputation

log = logging.getLogger(__name__)


@dataclass
class RequestBatcher:
    """The merged forward that the cells of a pack share."""

    max_bytes: int | None
    """Size limit of a hidden state in one forward; None for what suits the device."""
    first: CellComputation | None = None
    """The cell that was built first: the others share its frozen weights."""
    enabled: bool = True
    """False as soon as something cannot be merged; each cell then computes for itself."""
    _merged: MergedForward | None = None

    def evaluate(self, requests: Mapping[int, EvalRequest], *, charge: Mapping[int, Callable[[float], None]]) -> dict[int, EvalResult | None]:
        """Return the result of each request by index; None where the cell has to compute it itself.

        Args:
            charge: per index, called with the cell's part of the seconds that a forward took, shared by number of variants.
        """
        by_key: dict[object, list[int]] = {}
        for index, request in requests.items():
            by_key.setdefault(request.batch_key, []).append(index)
        results: dict[int, EvalResult | None] = dict.fromkeys(requests)
        for indices in by_key.values():
            if self.enabled:
                started = time.perf_counter()
                found = self._merged_results([requests[index] for index in indices])
                took_s, variants = time.perf_counter() - started, sum(requests[index].variants for index in indices)
                for index, result in zip(indices, found, strict=True):
                    results[index] = result
                    charge[index](took_s * requests[index].variants / variants)
        return results

    def _merged_results(self, requests: Sequence[EvalRequest]) -> Sequence[EvalResult | None]:
        assert self.first is not None, "only a cell that was built sends requests"
        if self._merged is None:
            self._merged = MergedForward(self.first.model, objective=self.first.objective, collate=self.first.collate, max_bytes=self.max_bytes)
        try:
            return self._merged.evaluate(requests) or [None] * len(requests)
        except RuntimeError as error:  # out of memory too: a cell by itself takes less
            self.enabled = False
            log.warning("the cells of this pack are computed one by one from here on: %s", error)
            return [None] * len(requests)
