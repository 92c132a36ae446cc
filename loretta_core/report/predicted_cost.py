"""How well the planner knew: measured over predicted, for peak memory and for the time of a step."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from loretta_core.report.rows import ResultRow
from loretta_core.report.units import counted
from loretta_core.store.records import Record


def memory_ratio(record: Record) -> float | None:
    """Measured over predicted peak memory."""
    return _ratio(record.peak_memory_bytes, record.predicted_peak_memory_bytes)


def step_ratio(record: Record) -> float | None:
    """Measured over predicted time of a step."""
    return _ratio(record.step_seconds, record.predicted_step_seconds)


def prediction_lines(rows: Sequence[ResultRow]) -> list[str]:
    """One line for a comparison; none when nothing was predicted."""
    records = [row.record for row in rows if row.record is not None]
    said = [f"{name} {_spread(found)}" for name, ratio in (("peak memory", memory_ratio), ("step time", step_ratio)) if (found := _known(map(ratio, records)))]
    return [f"measured / predicted: {', '.join(said)} (median, range over {counted(len(records), 'cell')})"] if said else []


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    return measured / predicted if measured and predicted else None


def _known(ratios: Iterable[float | None]) -> list[float]:
    return [ratio for ratio in ratios if ratio is not None]


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
