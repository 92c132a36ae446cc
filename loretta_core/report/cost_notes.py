"""Notes below a comparison on the costs in it: measured against predicted, and what the costs of cells in packs mean."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from loretta_core.report.rows import ResultRow
from loretta_core.report.units import counted
from loretta_core.store.records import Record


def cost_notes(rows: Sequence[ResultRow]) -> list[str]:
    """Return at most two lines; none where nothing was predicted and every cell was computed by itself."""
    return [*_prediction_lines(rows), *_pack_lines(rows)]


def memory_ratio(record: Record) -> float | None:
    """Return measured over predicted peak memory."""
    return _ratio(record.cost.peak_memory_bytes, record.cost.predicted_peak_memory_bytes)


def step_ratio(record: Record) -> float | None:
    """Return measured over predicted time of a step."""
    return _ratio(record.cost.step_s, record.cost.predicted_step_s)


def _prediction_lines(rows: Sequence[ResultRow]) -> list[str]:
    records = [row.record for row in rows if row.record is not None]
    said = [f"{name} {_spread(found)}" for name, ratio in (("peak memory", memory_ratio), ("step time", step_ratio)) if (found := _known(map(ratio, records)))]
    return [f"measured / predicted: {', '.join(said)} (median, range over {counted(len(records), 'cell')})"] if said else []


def _pack_lines(rows: Sequence[ResultRow]) -> list[str]:
    packs = [row.record.pack.pack_id for row in rows if row.record and row.record.pack]
    if not packs:
        return []
    return [
        f"{counted(len(packs), 'cell')} {'was' if len(packs) == 1 else 'were'} computed in {counted(len(set(packs)), 'pack')}: "
        "the time of such a cell is its share, the peak memory that of its pack"
    ]


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    return measured / predicted if measured and predicted else None


def _known(ratios: Iterable[float | None]) -> list[float]:
    return [ratio for ratio in ratios if ratio is not None]


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
