"""The live table of a sweep, for a terminal: the cells that run, their time so far and their expected time. Other lines scroll above it.

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
MAX_ROWS = 12
"""The number of running cells that are shown."""


@dataclass(frozen=True)
class Snapshot:
    """The content of the table at one moment."""

    title: str
    rows: tuple[tuple[str, str, str], ...]
    """(cell, time so far, expected time) of every cell that runs."""
    footer: str


PrintLine = Callable[[str], None]


def is_interactive() -> bool:
    """Return whether the output is a terminal that can show a live table."""
    return sys.stdout.isatty() and find_spec("rich") is not None


@contextmanager
def live_table(snapshot: Callable[[], Snapshot]) -> Iterator[PrintLine]:
    """Show what `snapshot` returns, again and again. Yields a function that prints a line above the table."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False)
    with Live(console=console, get_renderable=lambda: _table(snapshot()), refresh_per_second=REFRESH_PER_S, transient=True):
        yield lambda text: console.print(text, soft_wrap=True)


def _table(snapshot: Snapshot) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=snapshot.title, title_justify="left", caption=snapshot.footer, caption_justify="left", pad_edge=False)
    table.add_column("running")
    for name in ("so far", "expected"):
        table.add_column(name, justify="right")
    for row in snapshot.rows[:MAX_ROWS]:
        table.add_row(*row)
    return table
