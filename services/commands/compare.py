"""`loretta compare`: print the verdict and the table of a sweep and write its report."""

from __future__ import annotations

from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.report.compare import compare, write_comparison
from loretta_core.store.manifest import sweep_names
from loretta_core.store.output_dir import check_output_dir
from services.commands.output import print_lines, print_table


def show_comparison(out: Path, *, name: str, as_json: bool, table_format: str = "text", cells: bool = False) -> None:
    """Print the comparison of sweep `name`, or of the most recent one; as `markdown` or `latex` verdict and table alone. Raise OutputError when there is none.

    Args:
        cells: print a line per cell, not per contender.
    """
    if not out.is_dir():
        raise OutputError(f"{out}: no such output directory; give the right one with --out, or start a sweep with `loretta sweep FILE`")
    check_output_dir(out)
    chosen = name or _most_recent(out)
    if as_json:
        print(compare(out, name=chosen).json)
    elif table_format == "markdown":
        print(compare(out, name=chosen).markdown(cells=cells), end="")
    elif table_format == "latex":
        print(compare(out, name=chosen).latex(cells=cells))
    else:
        comparison = write_comparison(out, name=chosen)
        print_lines(comparison.findings.lines)
        print()
        print_table(comparison.table(cells=cells))
        print("\n".join(comparison.remarks))


def _most_recent(out: Path) -> str:
    names = sweep_names(out)
    if not names:
        raise OutputError(f"{out}: no sweep was started there yet; start one with `loretta sweep FILE`")
    return names[0]
