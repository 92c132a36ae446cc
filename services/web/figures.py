"""Figures of pages as SVG responses, drawn on request and cached by the version of their rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastapi.responses import Response
from starlette.exceptions import HTTPException

from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.values import Standing

MAX_CACHED = 200
"""Drawings in memory, about 100 KB each."""

MAX_POINTS = 500
"""Most points of a figure: more are neither legible nor drawn within the time that a reader waits."""

FIGURE_TITLES = {
    "score_against_parameters": "Score against trainable parameters",
    "score_against_time": "Score against training time",
    "score_against_memory": "Score against peak memory",
    "score_against_forwards": "Score against forward passes",
    "training_loss": "Training loss",
}


@dataclass
class FigureCache:
    """Drawings by name and key; one thread at a time uses matplotlib."""

    _drawings: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def comparison(self, name: str, *, standings: Sequence[Standing], key: str) -> str:
        """Return a figure of a comparison as SVG, empty when there is nothing to draw. The key identifies the contenders."""
        from loretta_core.report.figures.draw import draw  # matplotlib: half a second that no other page pays

        return self._get_or_draw((name, key), lambda: "".join(drawing.svg for drawing in draw(standings[:MAX_POINTS], names=(name,))))

    def training_loss(self, row: ResultRow, *, key: str) -> str:
        """Return the training loss of one cell as SVG. The key identifies its version."""
        from loretta_core.report.figures.draw import cell_curve

        return self._get_or_draw((row.cell_id, key), lambda: cell_curve(row))

    def _get_or_draw(self, key: tuple[str, str], draw: Callable[[], str]) -> str:
        with self._lock:
            if key not in self._drawings:
                self._drawings[key] = draw()
                if len(self._drawings) > MAX_CACHED:
                    self._drawings.popitem(last=False)
            return self._drawings[key]


def svg_response(drawing: str) -> Response:
    """Return an inline drawing as an image of its own. Raise HTTPException 404 for an empty one."""
    if not drawing:
        raise HTTPException(404, "nothing to draw")
    # An image runs no script, but opened on its own it is a document; its styles are inside it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    svg = drawing if "xmlns=" in drawing[:2000] else drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    headers = {"content-security-policy": policy, "cache-control": "private, max-age=3600"}
    return Response('<?xml version="1.0" encoding="utf-8"?>\n' + svg, media_type="image/svg+xml", headers=headers)
