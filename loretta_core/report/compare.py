"""The comparison of a sweep: verdict.json, table.md, table.json, figures/*.svg and report.html in OUT/sweeps/<name>/, and a text for the terminal.

Made from the manifest and the records, nothing else; may be repeated at any time, also while the sweep runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loretta_core.report.cost_notes import cost_notes
from loretta_core.report.harness_notes import harness_notes
from loretta_core.report.rows import ResultRow, build_rows, damaged_cells
from loretta_core.report.tables import (
    Table,
    comparison_table,
    json_text,
    lines_to_latex,
    lines_to_markdown,
    old_cells,
    to_json,
    to_latex,
    to_markdown,
    to_text,
    without_score,
)
from loretta_core.report.verdict.findings import Findings, find
from loretta_core.store.early_stops import find_early_stops
from loretta_core.store.manifest import Manifest, read_manifest, sweep_directory
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.predictions import Predictions, find_predictions
from loretta_core.store.record_files import find_records


@dataclass(frozen=True)
class SweepComparison:
    """The rows and findings of one sweep."""

    name: str
    out: Path
    rows: tuple[ResultRow, ...]
    findings: Findings

    @property
    def report(self) -> Path:
        """Path of the page with figures; `write_comparison` writes it."""
        return sweep_directory(self.out, name=self.name) / "report.html"

    @property
    def missing(self) -> list[str]:
        """Lines for the cells without a score, each with its reason."""
        return without_score(self.rows)

    def table(self, *, cells: bool = False) -> Table:
        """Return the table by contender, or with one line per cell."""
        return comparison_table(self.rows) if cells else self.findings.table

    @property
    def damaged(self) -> dict[str, str]:
        """The cells that cannot be compared because a file of theirs is damaged: name → path of the file, what is wrong with it, what to do."""
        return {row.name: row.reason for row in self.rows if row.status == "damaged"}

    @property
    def text(self) -> str:
        """The comparison for a terminal: verdict, table, cells without a score, what to do next."""
        return "\n".join([*self.findings.lines, "", to_text(self.table()), *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """The lines below the table."""
        more = [f"report with figures: {self.report}", f"MLflow UI on this data: loretta serve --out {self.out}"]
        notes = [*cost_notes(self.rows), *harness_notes(self.rows), *self.missing, *old_cells(self.rows)]
        return ["", *notes, *([""] if notes else []), *more]

    @property
    def json(self) -> str:
        """Verdicts, contenders and cells with unrounded numbers; cells with all their settings."""
        return json_text({**self._verdict_json, "cells": [row.to_json() for row in self.rows]})

    @property
    def verdict_json(self) -> str:
        """Verdicts and contenders with unrounded numbers, as in verdict.json."""
        return json_text(self._verdict_json)

    @property
    def cells_json(self) -> str:
        """The cells with unrounded numbers and all settings, as in table.json."""
        return to_json(self.rows)

    def markdown(self, *, cells: bool = False) -> str:
        """Return verdict and table for a README, with the cells that have no score below them."""
        missing = "".join(f"\n- {line}" for line in self.missing)
        return f"{lines_to_markdown(self.findings.lines)}\n\n{to_markdown(self.table(cells=cells))}\n" + (f"{missing}\n" if missing else "")

    def latex(self, *, cells: bool = False) -> str:
        """Return verdict and table for LaTeX."""
        return f"{lines_to_latex(self.findings.lines)}\n\n{to_latex(self.table(cells=cells))}"

    @property
    def _verdict_json(self) -> dict[str, object]:
        ranks = self.findings.ranks_json()
        return {"verdicts": self.findings.verdicts_json(), **({"mean_ranks": ranks} if ranks else {}), "contenders": self.findings.contenders_json()}


def compare(out: Path, *, name: str) -> SweepComparison:
    """Read and compare a sweep; writes nothing. Raises OutputError when there is no such sweep, or its manifest cannot be read."""
    with _garbage_collector_off():
        manifest = read_manifest(out, name=name)
        rows, predictions = read_rows(manifest, out=out, name=name)
        return SweepComparison(name, out, rows, find(manifest, rows, predictions=predictions))


def read_rows(manifest: Manifest, *, out: Path, name: str) -> tuple[tuple[ResultRow, ...], dict[str, Predictions]]:
    """Read what is known of the cells of a sweep, and their predictions; a file that is damaged costs its own cell."""
    found, stops = find_records(out, manifest.cells), find_early_stops(out, name=name)
    predicted = find_predictions(out, found.records)
    damaged = damaged_cells(found.records, records=found.damaged, predictions=predicted.damaged, stops=stops.damaged)
    return tuple(build_rows(manifest, records=found.records, stops=stops.stops, damaged=damaged)), predicted.predictions


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
    drawings = draw(comparison.findings.standings, algorithm=comparison.findings.protocol.algorithm)
    directory = sweep_directory(out, name=name)
    (directory / "figures").mkdir(exist_ok=True)
    for drawing in drawings:
        write_atomically(directory / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_atomically(directory / "verdict.json", comparison.verdict_json)
    write_atomically(directory / "table.md", comparison.markdown())
    write_atomically(directory / "table.json", comparison.cells_json)
    page = render(read_manifest(out, name=name), rows=comparison.rows, findings=comparison.findings, drawings=drawings, out=out)
    write_atomically(comparison.report, page)
    return comparison
