"""The live table of a sweep, for a terminal: what runs, how far it is, when it is over. Lines about cells that are over scroll above it.

Where the output is no terminal, or rich is not installed, `reporter.py` prints the same lines and no table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

REFRESH_PER_S = 2
MOST_ROWS = 12
"""Running cells that are shown."""


@dataclass(frozen=True)
class View:
    """A moment of a sweep."""

    title: str
    rows: tuple[tuple[str, str, str], ...]
    """(cell, so far, expected) of those that run."""
    footer: str


Say = Callable[[str], None]


def wanted() -> bool:
    """Whether a person is watching."""
    return sys.stdout.isatty() and find_spec("rich") is not None


@contextmanager
def live_table(view: Callable[[], View]) -> Iterator[Say]:
    """Show what `view` returns, again and again; the function that it gives prints a line above."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False)
    with Live(console=console, get_renderable=lambda: _table(view()), refresh_per_second=REFRESH_PER_S, transient=True):
        yield lambda text: console.print(text, soft_wrap=True)


def _table(view: View) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=view.title, title_justify="left", caption=view.footer, caption_justify="left", pad_edge=False)
    table.add_column("running")
    for name in ("so far", "expected"):
        table.add_column(name, justify="right")
    for row in view.rows[:MOST_ROWS]:
        table.add_row(*row)
    return table
