"""Figures of pages as SVG responses, drawn on request and cached by the version of their rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.responses import Response
from starlette.exceptions import HTTPException

from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.tuning import Algorithm, has_budget, has_learning_rates
from loretta_core.report.verdict.values import Standing

MAX_CACHED = 200
"""Drawings in memory, about 100 KB each."""

MAX_POINTS = 500
"""Most points of a figure: more are neither legible nor drawn within the time that a reader waits."""

TUNING_FIGURES: Mapping[str, Callable[[ContenderResult], bool]] = {"learning_rates": has_learning_rates, "tuning_budget": has_budget}
"""Figures of the trials, each with the question whether a contender has something to show there."""

FIGURE_TITLES = {
    "score_against_parameters": "Score against trainable parameters",
    "score_against_time": "Score against training time",
    "score_against_memory": "Score against peak memory",
    "score_against_forwards": "Score against forward passes",
    "learning_rates": "Validation score over the learning rate",
    "tuning_budget": "Validation score over the number of trials",
    "training_loss": "Training loss",
}


@dataclass
class FigureCache:
    """Drawings by name and key; one thread at a time uses matplotlib."""

    _drawings: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def comparison(self, name: str, *, standings: Sequence[Standing], algorithm: Algorithm, key: str) -> str:
        """Return a figure of a comparison as SVG, empty when there is nothing to draw. The key identifies the contenders.

        Args:
            algorithm: how their trials were chosen.
        """
        from loretta_core.report.figures.draw import draw  # matplotlib: half a second that no other page pays

        return self._get_or_draw((name, key), lambda: "".join(drawing.svg for drawing in draw(standings[:MAX_POINTS], names=(name,), algorithm=algorithm)))

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


def figure_titles(contenders: Sequence[ContenderResult], *, scored: bool) -> dict[str, str]:
    """Return name → title of the figures of a sweep that have something to show.

    Args:
        scored: some cell has a test score.
    """
    shown = {name: any(map(has, contenders)) for name, has in TUNING_FIGURES.items()}
    return {name: title for name, title in FIGURE_TITLES.items() if shown.get(name, scored)}


def svg_response(drawing: str) -> Response:
    """Return an inline drawing as an image of its own. Raise HTTPException 404 for an empty one."""
    if not drawing:
        raise HTTPException(404, "nothing to draw")
    # An image runs no script, but opened on its own it is a document; its styles are inside it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    svg = drawing if "xmlns=" in drawing[:2000] else drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    headers = {"content-security-policy": policy, "cache-control": "private, max-age=3600"}
    return Response('<?xml version="1.0" encoding="utf-8"?>\n' + svg, media_type="image/svg+xml", headers=headers)
