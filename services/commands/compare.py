"""`loretta compare`: print the table of a sweep and write its report."""

from __future__ import annotations

from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.report.compare import compare, write_comparison
from loretta_core.report.tables import to_latex, to_markdown
from loretta_core.store.manifest import sweep_names
from loretta_core.store.output_dir import check_output_dir
from services.commands.output import print_table


def show_comparison(out: Path, *, name: str, as_json: bool, table_format: str = "text") -> None:
    """Print the comparison of sweep `name`, or of the most recent one; as `markdown` or `latex` the table alone. Raise OutputError when there is none."""
    if not out.is_dir():
        raise OutputError(f"{out}: no such output directory; give the right one with --out, or start a sweep with `loretta sweep FILE`")
    check_output_dir(out)
    chosen = name or _most_recent(out)
    if as_json:
        print(compare(out, name=chosen).json)
        return
    if table_format in _TABLES:
        print(_TABLES[table_format](compare(out, name=chosen).table))
        return
    comparison = write_comparison(out, name=chosen)
    print_table(comparison.table)
    print("\n".join(comparison.remarks))


_TABLES = {"markdown": to_markdown, "latex": to_latex}


def _most_recent(out: Path) -> str:
    names = sweep_names(out)
    if not names:
        raise OutputError(f"{out}: no sweep was started there yet; start one with `loretta sweep FILE`")
    return names[0]
