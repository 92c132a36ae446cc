"""report.html: one self-contained page (inline styles and SVG, no script, no network) for a reader who never saw the project.

The template is report.html beside this file; every value in it is escaped except our own SVG and CSS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from loretta_core.methods.glossary import explain_methods
from loretta_core.report import units
from loretta_core.report.adapter_docs.loading_code import loading_code
from loretta_core.report.figures.draw import Drawing
from loretta_core.report.rows import ResultRow
from loretta_core.report.tables import Table, comparison_table, old_cells
from loretta_core.report.verdict.findings import Findings
from loretta_core.store.manifest import Manifest

GLOSSARY = {
    "model": "The pre-trained model that every run starts from.",
    "task": "The data, and the question asked about it.",
    "method": f"Which parameters train. {explain_methods()}",
    "trainer": "How they train. adam: with gradients (first order). All others (zo_…, fzoo, lozo, …): from differences between forward passes, without "
    "gradients (zeroth order); slower to learn, and needs hardly more memory than using the model.",
    "precision": "Number format of the frozen weights.",
    "batch size": "Rows per training step, over all workers.",
    "seed": "Seed of initialisation, batch order and random directions.",
    "trainable parameters": "How many numbers the method trains; the rest of the model stays as it was.",
    "contender": "What is compared: a point of the grid. Runs that differ in their seed alone are replicates of one contender.",
    "chosen setting": "The settings that won among those tried for the contender, judged on validation rows.",
    "score": "Share of test rows answered correctly (or the metric that the verdict names) by the checkpoint that did best on the validation rows. Of a "
    "contender: the mean over its seeds, ± half of the 95 % interval over seeds and test rows (t, two-way variance components). Of one cell or one seed: ± "
    "half of an interval that covers the choice of test rows only.",
    "seeds": "How many runs of the contender count. One says nothing about how much training noise moves the score.",
    "before training": "Score of the untouched model on the same test rows, zero-shot (by chance, if its classification head is fresh). "
    "What training has to beat.",
    "paper": "What the LoRETTA paper prints for this model, task and method (NAACL 2024, tables 1 to 3; no seeds, no deviations; GLUE scores are the "
    "best of the evaluations during training on the development set). Its protocol is not ours in every detail.",
    "training time": "Time in training steps, without loading and evaluation; of a contender, the median over its seeds. Runs that shared a machine slowed "
    "each other down.",
    "tuning time": "Training time of all trials of the contender together.",
    "peak memory": "GPU memory on a GPU. On a CPU it is the memory of the whole process, libraries included (about 0.5 GiB).",
    "cell": "Name of the run: a digest of its settings. Everything about it lies in cells/<id>/.",
}


@dataclass(frozen=True)
class TextCell:
    """One cell of the table, or a heading."""

    text: str
    numeric: bool


@dataclass(frozen=True)
class TableLine:
    """One line of the table."""

    cells: tuple[TextCell, ...]
    cell_id: str
    missing: bool


@dataclass(frozen=True)
class VerdictLine:
    """A line of the verdict; `answer`: the first one on a task and model."""

    text: str
    answer: bool


@dataclass(frozen=True)
class LoadingCode:
    """Python that loads the trained weights of one cell."""

    name: str
    code: str


@dataclass(frozen=True)
class ReportPage:
    """The values that the template shows."""

    name: str
    description: str
    summary: str
    verdict: tuple[VerdictLine, ...]
    contenders: tuple[tuple[TextCell, ...], ...]
    """Headings, then a line per contender."""
    columns: tuple[TextCell, ...]
    rows: tuple[TableLine, ...]
    glossary: tuple[tuple[str, str], ...]
    failures: tuple[ResultRow, ...]
    notes: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    adapter: LoadingCode | None
    out: str
    footer: str
    css: Markup


def render(manifest: Manifest, *, rows: Sequence[ResultRow], findings: Findings, drawings: Sequence[Drawing], out: Path) -> str:
    """Return the page as HTML text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_file("report.html")).render(page=_page(manifest, rows=rows, findings=findings, drawings=drawings, out=out))


def _page(manifest: Manifest, *, rows: Sequence[ResultRow], findings: Findings, drawings: Sequence[Drawing], out: Path) -> ReportPage:
    table = _table_with_initial_score(rows)
    titles = [column.text for column in table[0]]
    return ReportPage(
        name=manifest.name,
        description=manifest.description.rstrip("."),
        summary=_summary(rows),
        verdict=tuple(VerdictLine(line.strip(), answer=not line.startswith(" ")) for line in findings.lines),
        contenders=_text_table(findings.table),
        columns=(*table[0], TextCell("cell", numeric=False)),
        rows=table[1],
        glossary=tuple((title, GLOSSARY[title]) for title in dict.fromkeys([*findings.table.columns, *titles, "cell"])),
        failures=tuple(row for row in rows if row.status != "finished"),
        notes=tuple(_notes(manifest, rows)),
        drawings=tuple(Drawing(d.name, d.title, d.caption, Markup(d.svg)) for d in drawings),
        adapter=_adapter(rows, out=out),
        out=str(out),
        footer=_footer(rows),
        css=Markup(_file("report.css")),
    )


def _text_table(table: Table) -> tuple[tuple[TextCell, ...], ...]:
    """Return headings and lines of a table."""
    first_number = len(table.columns) - table.numeric
    return tuple(tuple(TextCell(text, numeric=index >= first_number) for index, text in enumerate(line)) for line in (table.columns, *table.body))


def _table_with_initial_score(rows: Sequence[ResultRow]) -> tuple[tuple[TextCell, ...], tuple[TableLine, ...]]:
    """Return headings and lines of the table by cell, with the score before training beside the score."""
    table = comparison_table(rows)
    at = table.columns.index("score") + 1
    first_number = len(table.columns) - table.numeric

    def line(cells: Sequence[str], initial: str) -> tuple[TextCell, ...]:
        return tuple(TextCell(text, numeric=index >= first_number) for index, text in enumerate([*cells[:at], initial, *cells[at:]]))

    body = [
        TableLine(line(cells, units.share(row.record.score.initial if row.record else None)), cell_id=row.cell_id, missing=row.status != "finished")
        for cells, row in zip(table.body, rows, strict=True)
    ]
    return line(table.columns, "before training"), tuple(body)


def _summary(rows: Sequence[ResultRow]) -> str:
    numbers = {status: sum(row.status == status for row in rows) for status in ("finished", "failed", "damaged", "stopped early", "not run")}
    cells = f"{len(rows)} cell{'s' * (len(rows) != 1)}"
    states = ", ".join(f"{number} {status}" for status, number in numbers.items() if number)
    return f"{cells} (a cell is one fine-tuning run, scored on test rows that it never trained on): {states}." if rows else "No cells."


def _notes(manifest: Manifest, rows: Sequence[ResultRow]) -> list[str]:
    """Collect what a careful reader must know: warnings of cells, duplicates, skipped combinations."""
    notes: dict[str, int] = {}
    for row in rows:
        for warning in row.record.warnings if row.record else ():
            notes[warning] = notes.get(warning, 0) + 1
    return [
        *(f"{warning} ({number} of {len(rows)} cells)" for warning, number in notes.items()),
        *old_cells(rows),
        *(f"Named more than once in the sweep, run once: {label}" for label in manifest.duplicates),
        *(f"Left out as impossible: {skipped.cell}: {skipped.reason}" for skipped in manifest.skipped),
    ]


def _adapter(rows: Sequence[ResultRow], *, out: Path) -> LoadingCode | None:
    for row in rows:
        if row.score is not None and row.record and row.record.adapter:
            return LoadingCode(name=row.name, code=loading_code(row.cell, adapter=out / "cells" / row.cell_id / row.record.adapter))
    return None


def _footer(rows: Sequence[ResultRow]) -> str:
    """Write versions and devices, once each; the newest end of a cell stands for the date, so that the same records give the same page."""
    facts: dict[str, None] = {}
    for row in rows:
        facts.update({f"{name} {value}": None for name, value in (row.record.environment if row.record else {}).items() if name != "host"})
    ends = [row.record.finished_at for row in rows if row.record and row.record.finished_at]
    return " · ".join([*([f"Last cell ended {max(ends)}"] if ends else []), *facts]) or "No cell has run yet."


def _file(name: str) -> str:
    return resources.files("loretta_core.report").joinpath(name).read_text(encoding="utf-8")
