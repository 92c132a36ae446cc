"""A table on the terminal. Into a pipe or a file it goes as plain text."""

from __future__ import annotations

import sys

from loretta_core.report.tables import Table, to_text


def print_table(table: Table) -> None:
    """With lines and emphasis when a person is watching."""
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
