"""What the numbers of cells that were computed together mean."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.report.rows import ResultRow
from loretta_core.report.units import counted


def packed_lines(rows: Sequence[ResultRow]) -> list[str]:
    """A line for the text below a table; none where every cell was computed by itself."""
    packs = [row.record.pack_id for row in rows if row.record and row.record.pack_id]
    if not packs:
        return []
    return [
        f"{counted(len(packs), 'cell')} {'was' if len(packs) == 1 else 'were'} computed in {counted(len(set(packs)), 'pack')}: "
        "the time of such a cell is its share, the peak memory that of its pack"
    ]
