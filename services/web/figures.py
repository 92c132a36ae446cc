"""Figures of a selection of rows as SVG, drawn when asked for and kept by version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loretta_core.report.rows import ResultRow

KEPT = 200
"""Drawings in memory: about 100 KB each."""

MOST_ROWS = 1500
"""More points than that are no figure, and take longer than a reader waits."""

NAMES = {
    "score_against_parameters": "Score against trainable parameters",
    "score_against_time": "Score against training time",
    "score_against_memory": "Score against peak memory",
    "score_against_forwards": "Score against forward passes",
    "training_loss": "Training loss",
}


@dataclass
class Figures:
    """Drawings that were asked for; matplotlib is used by one thread at a time."""

    _kept: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_rows(self, name: str, *, rows: Sequence[ResultRow], key: str) -> str:
        """The named figure; empty when there is nothing to show. `key` stands for the rows: same key, same drawing."""
        from loretta_core.report.figures.draw import draw  # matplotlib: half a second that no other page pays

        return self._drawn((name, key), lambda: "".join(drawing.svg for drawing in draw(rows[:MOST_ROWS], names=(name,))))

    def of_cell(self, row: ResultRow, *, key: str) -> str:
        """The training loss of one cell."""
        from loretta_core.report.figures.draw import cell_curve

        return self._drawn((row.cell_id, key), lambda: cell_curve(row))

    def _drawn(self, key: tuple[str, str], make: Callable[[], str]) -> str:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]


def standalone(svg: str) -> str:
    """An inline drawing as a file of its own."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + (svg if "xmlns=" in svg[:2000] else svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))
