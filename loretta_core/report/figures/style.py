"""Style of all figures: palette, sizes, panels, SVG output.

Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers; every colour comes with a marker or line style of its own, so that
nothing is told by colour alone. Figures are built without pyplot: no global state, no display.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6D00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
INK = "#222222"
MUTED = "#6b6b6b"

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: searchable, readable aloud, small
    "text.parse_math": False,  # a `$` in the name of a model is a `$`
    "svg.hashsalt": "loretta",  # the same rows give the same bytes
}


def panels(count: int, *, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure and its `count` panels of the given size in inches."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), dpi=72, layout="constrained")  # SVG units are 1/72 inch: measured pixels are drawn ones
    FigureCanvasAgg(figure)  # measures text; the drawing is SVG
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


def settle(figure: Figure) -> None:
    """Lay the figure out and keep it so: what is written afterwards is measured in pixels and must not move the panels."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def legend_below(figure: Figure, axes: Sequence[Axes], *, title: str) -> None:
    """Write one legend for all panels below them, in as many columns as fit, and make the figure higher for its lines. Call it before `settle`."""
    legend = {name: handle for panel in axes for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    columns = legend_columns(legend, width=figure.get_figwidth())
    figure.set_figheight(figure.get_figheight() + 0.23 * (math.ceil(len(legend) / columns) - 1))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns, title=title)


def legend_columns(names: Iterable[str], *, width: float) -> int:
    """Return how many entries of a legend fit side by side into `width` inches: 6.2 points a letter, 50 for the marker and the gaps."""
    return max(1, min(3, len(list(names)), int(width * 72 / (50 + 6.2 * max(map(len, names))))))


def to_svg(figure: Figure, *, name: str) -> str:
    """Return the figure as SVG text that can stand inline in a page beside others: no XML prologue, ids prefixed by `name`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for before in (' id="', "url(#", 'href="#'):
        svg = svg.replace(before, f"{before}{name}-")
    return svg


def wrapped(title: str) -> str:
    """Break a title into lines that fit a panel of half the figure's width."""
    return textwrap.fill(title, width=60)


def colour_of(names: Sequence[str], *, skip: int = 0) -> dict[str, str]:
    """Return a colour for each distinct name, in order of appearance, leaving out the first `skip` of the palette as long as there are others."""
    return {name: PALETTE[(index + skip) % len(PALETTE)] for index, name in enumerate(dict.fromkeys(names))}


def ink(colour: str) -> str:
    """Return the colour, dark enough for text on white."""
    return to_hex([part * 0.66 for part in to_rgb(colour)])


def marker_of(names: Sequence[str]) -> dict[str, str]:
    """Return a marker for each distinct name, in order of appearance."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(dict.fromkeys(names))}


def styled() -> Any:
    """Return a context in which figures get this style."""
    return mpl.rc_context(RC)
