"""Output of commands: JSON, and tables with lines and emphasis on a terminal but plain text into a pipe or a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from loretta_core.report.tables import Table, to_text


def to_json(value: object, *, indent: int | None = 1) -> str:
    """Return a value as JSON, on one line with `indent=None`."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines, folded to the width of the terminal when stdout is one; the first line of a block, which is not indented, is bold."""
    if not sys.stdout.isatty():
        print("\n".join(lines))
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        console.print(Padding(Text(line.lstrip(" "), style="" if indent else "bold"), (0, 0, 0, indent)))


def print_table(table: Table) -> None:
    """Print a table, with lines and emphasis when stdout is a terminal."""
    if not sys.stdout.isatty():
        print(to_text(table))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    rich_table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    first_number = len(table.columns) - table.numeric
    for index, column in enumerate(table.columns):
        rich_table.add_column(column, justify="right" if index >= first_number else "left", overflow="fold")
    for cells in table.body:
        rich_table.add_row(*cells)
    Console(highlight=False, markup=False).print(rich_table)
