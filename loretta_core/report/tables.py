"""A comparison as a table: columns chosen once, rendered as plain text, Markdown or JSON.

Only strings and rows here; colours and line drawing belong to the terminal's edge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loretta_core.config import COMPONENTS
from loretta_core.report import units
from loretta_core.report.rows import ResultRow

TextOf = Callable[[ResultRow], str]
"""Writes one column of a row."""

_MEASURED: tuple[tuple[str, TextOf], ...] = (
    ("trainable parameters", lambda row: units.count(row.record.cost.trainable_params if row.record else None)),
    ("score", lambda row: _score(row)),
    ("paper", lambda row: units.share(row.paper.value if row.paper else None)),
    ("training time", lambda row: units.seconds(row.record.cost.train_s if row.record else None)),
    ("peak memory", lambda row: units.size(row.record.cost.peak_memory_bytes if row.record else None)),
)


@dataclass(frozen=True)
class Table:
    """Header and body as text. The last `numeric` columns hold numbers and are aligned to the right."""

    columns: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    numeric: int


def comparison_table(rows: Sequence[ResultRow]) -> Table:
    """Return a table with one line per cell: what it was, what it scored, what it cost."""
    names = tuple(rows[0].labels) if rows else COMPONENTS
    measured = [column for column in _MEASURED if column[0] != "paper" or any(row.paper for row in rows)]
    body = tuple(tuple(row.labels[name] for name in names) + tuple(show(row) for _, show in measured) for row in rows)
    columns = tuple(name.replace("_", " ") for name in names) + tuple(title for title, _ in measured)
    return Table(columns=columns, body=body, numeric=len(measured))


def to_text(table: Table) -> str:
    """Return a table as plain text: aligned columns, two spaces apart, a rule below the header."""
    widths = [max(map(len, column)) for column in zip(table.columns, *table.body, strict=True)]
    first_number = len(table.columns) - table.numeric

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) if index >= first_number else cell.ljust(width) for index, (cell, width) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip(" ")

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([line(table.columns), rule, *(line(cells) for cells in table.body)])


def to_markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown."""
    first_number = len(table.columns) - table.numeric
    rule = ["---:" if index >= first_number else "---" for index in range(len(table.columns))]
    lines = [table.columns, rule, *table.body]
    return "\n".join("| " + " | ".join(" ".join(cell.replace("|", "\\|").splitlines()) for cell in cells) + " |" for cells in lines)


def to_latex(table: Table) -> str:
    """Return a tabular for LaTeX with booktabs (`\\usepackage{booktabs}`)."""
    first_number = len(table.columns) - table.numeric
    alignment = "".join("r" if index >= first_number else "l" for index in range(len(table.columns)))
    body = [" & ".join(map(_latex, cells)) + r" \\" for cells in table.body]
    head = " & ".join(map(_latex, table.columns)) + r" \\"
    return "\n".join([rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


def to_json(rows: Sequence[ResultRow]) -> str:
    """Return every cell with unrounded numbers as JSON, as in table.json."""
    return json_text([row.to_json() for row in rows])


def json_text(value: object) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def lines_to_markdown(lines: Sequence[str]) -> str:
    """Return the lines of verdicts in Markdown: answers in bold, what belongs to them as lists."""
    found: list[str] = []
    for line in lines:
        text = " ".join(line.split()).replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;").replace(">", "&gt;")
        answer = not line.startswith(" ")
        if (found and answer != found[-1].startswith("**")) or (found and answer):
            found.append("")
        found.append(f"**{text}**" if answer else f"- {text}")
    return "\n".join(found)


def lines_to_latex(lines: Sequence[str]) -> str:
    """Return the lines of verdicts in LaTeX: a paragraph for each."""
    return "\n\n".join(rf"\textbf{{{_latex(line)}}}" if not line.startswith(" ") else _latex(line) for line in lines)


def without_score(rows: Sequence[ResultRow]) -> list[str]:
    """Return one line per cell that is not finished, with the reason. A finished trial has no score on the test rows, and needs none."""
    return [f"{row.status}: {row.name} ({row.cell_id}): {row.reason}" for row in rows if row.status != "finished"]


def old_cells(rows: Sequence[ResultRow]) -> list[str]:
    """Return a line about the cells of an earlier schema, none where there are none."""
    number = sum(row.old for row in rows)
    if not number:
        return []
    what = f"{number} of {units.counted(len(rows), 'cell')} {'is' if number == 1 else 'are'} of an earlier schema"
    return [f"old: {what}: shown as recorded, not taken for finished by a sweep that starts now (`loretta doctor --migrate OUT` says more)"]


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "·": r"$\cdot$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _score(row: ResultRow) -> str:
    if row.record is None or row.score is None:
        return "not scored" if row.status == "finished" else row.status
    return units.with_interval(row.score, low=row.record.score.low, high=row.record.score.high)
