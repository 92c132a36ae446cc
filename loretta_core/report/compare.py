"""The comparison of a sweep's cells: table.md, table.json, figures/*.svg and report.html in OUT/sweeps/<name>/, and a text for the terminal.

Made from the manifest and the records, nothing else; may be repeated at any time, also while the sweep runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loretta_core.report.cost_notes import cost_notes
from loretta_core.report.headlines import headlines
from loretta_core.report.paired import pair_with_best
from loretta_core.report.rows import ResultRow, build_rows, damaged_cells
from loretta_core.report.tables import Table, comparison_table, old_cells, to_json, to_markdown, to_text, without_score
from loretta_core.store.early_stops import find_early_stops
from loretta_core.store.manifest import Manifest, read_manifest, sweep_directory
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.predictions import find_predictions
from loretta_core.store.record_files import find_records


@dataclass(frozen=True)
class SweepComparison:
    """The rows, table and sentences of one sweep."""

    name: str
    out: Path
    rows: tuple[ResultRow, ...]
    table: Table
    headlines: tuple[str, ...]

    @property
    def report(self) -> Path:
        """Path of the page with figures; `write_comparison` writes it."""
        return sweep_directory(self.out, name=self.name) / "report.html"

    @property
    def missing(self) -> list[str]:
        """Lines for the cells without a score, each with its reason."""
        return without_score(self.rows)

    @property
    def damaged(self) -> dict[str, str]:
        """The cells that cannot be compared because a file of theirs is damaged: name → path of the file, what is wrong with it, what to do."""
        return {row.name: row.reason for row in self.rows if row.status == "damaged"}

    @property
    def text(self) -> str:
        """The comparison for a terminal: table, cells without a score, what to do next."""
        return "\n".join([to_text(self.table), *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """The lines below the table."""
        more = [f"report with figures: {self.report}", f"MLflow UI on this data: loretta serve --out {self.out}"]
        return ["", *self.headlines, *cost_notes(self.rows), *self.missing, *old_cells(self.rows), "", *more]

    @property
    def json(self) -> str:
        """The cells with unrounded numbers and all settings, as in table.json."""
        return to_json(self.rows)

    @property
    def markdown(self) -> str:
        """The table for a README, with the cells that have no score below it."""
        missing = "".join(f"\n- {line}" for line in self.missing)
        return to_markdown(self.table) + "\n" + (f"{missing}\n" if missing else "")


def compare(out: Path, *, name: str) -> SweepComparison:
    """Read and compare a sweep; writes nothing. Raises OutputError when there is no such sweep, or its manifest cannot be read."""
    with _garbage_collector_off():
        manifest = read_manifest(out, name=name)
        rows = tuple(read_rows(manifest, out=out, name=name))
        return SweepComparison(name=name, out=out, rows=rows, table=comparison_table(rows), headlines=tuple(headlines(rows)))


def read_rows(manifest: Manifest, *, out: Path, name: str) -> list[ResultRow]:
    """Read what is known of the cells of a sweep; a file that is damaged costs its own cell."""
    found, stops = find_records(out, manifest.cells), find_early_stops(out, name=name)
    predicted = find_predictions(out, found.records)
    damaged = damaged_cells(found.records, records=found.damaged, predictions=predicted.damaged, stops=stops.damaged)
    rows = build_rows(manifest, records=found.records, stops=stops.stops, damaged=damaged)
    return pair_with_best(rows, predictions=predicted.predictions)


@contextmanager
def _garbage_collector_off() -> Iterator[None]:
    """Turn the garbage collector off: the curves of thousands of records are millions of small objects, and it would visit all of them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def write_comparison(out: Path, *, name: str) -> SweepComparison:
    """Compare a sweep and write its report. Every file is replaced atomically, the page last. Raises OutputError as `compare` does."""
    from loretta_core.report.figures.draw import draw  # matplotlib and jinja2 take half a second that `compare` need not pay
    from loretta_core.report.page import render

    comparison = compare(out, name=name)
    drawings = draw(comparison.rows)
    directory = sweep_directory(out, name=name)
    (directory / "figures").mkdir(exist_ok=True)
    for drawing in drawings:
        write_atomically(directory / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_atomically(directory / "table.md", comparison.markdown)
    write_atomically(directory / "table.json", comparison.json)
    write_atomically(comparison.report, render(read_manifest(out, name=name), rows=comparison.rows, drawings=drawings, out=out))
    return comparison
