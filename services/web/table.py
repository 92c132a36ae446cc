"""The comparison as rows and headings of an HTML table: sortable columns, numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from loretta_core.report import units
from loretta_core.report.pareto import COSTS, fronts
from loretta_core.report.rows import ResultRow
from services.queries.filters import Selection

ROWS_PER_PAGE = 200


@dataclass(frozen=True)
class Heading:
    """The heading of a column. `link` sorts by it; `order` is the present order in the words of aria-sort."""

    title: str
    numeric: bool
    link: str = ""
    order: str = ""


@dataclass(frozen=True)
class TableCell:
    """A cell of the table. `hint` is shown when the pointer rests on it."""

    text: str
    numeric: bool
    hint: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of the table."""

    result: ResultRow
    cells: tuple[TableCell, ...]
    efficient: bool
    """True for cells in the Pareto set of score against trainable parameters."""


@dataclass(frozen=True)
class _Column:
    title: str
    key: str
    show: Callable[[ResultRow], str]
    hint: Callable[[ResultRow], str] = lambda row: ""


_NUMBERS = (
    _Column("score", "score", lambda row: _score(row)),
    _Column("before", "", lambda row: units.share(row.record.score.initial if row.record else None)),
    _Column("paper", "", lambda row: units.share(row.paper.value if row.paper else None), lambda row: row.paper.text if row.paper else ""),
    _Column("trainable parameters", "trainable_params", lambda row: units.count(row.record.cost.trainable_params if row.record else None)),
    _Column("training time", "train_seconds", lambda row: units.seconds(row.record.cost.train_s if row.record else None)),
    _Column("peak memory", "peak_memory_bytes", lambda row: units.size(row.record.cost.peak_memory_bytes if row.record else None)),
    _Column("forwards", "forwards", lambda row: units.count(row.record.cost.forwards if row.record else None)),
)


def build_table(rows: Sequence[ResultRow], *, selection: Selection, address: str, all_rows: Sequence[ResultRow]) -> tuple[list[Heading], list[TableRow]]:
    """Return headings and rows of the table. `address` is that of the page, without a query."""
    labels = distinguishing_labels(all_rows)
    columns = [column for column in _NUMBERS if column.title != "paper" or any(row.paper for row in rows)]
    texts = [_heading(name.replace("_", " "), name if name in ("method", "trainer", "seed") else "", False, selection, address) for name in labels]
    numbers = [_heading(column.title, column.key, True, selection, address) for column in columns]
    efficient = fronts(all_rows, cost=COSTS["trainable_params"])
    table_rows = [
        TableRow(
            row,
            tuple(TableCell(row.labels[name], False) for name in labels) + tuple(TableCell(column.show(row), True, column.hint(row)) for column in columns),
            row.cell_id in efficient,
        )
        for row in rows
    ]
    return [*texts, *numbers], table_rows


def distinguishing_labels(rows: Sequence[ResultRow]) -> list[str]:
    """Return the names of labels that differ between rows, and always `method`."""
    names = list(rows[0].labels) if rows else []
    return [name for name in names if name == "method" or len({row.labels[name] for row in rows}) > 1]


def shared_labels(rows: Sequence[ResultRow]) -> str:
    """Return the labels that all rows share, as in `toy-bert · toy_sentiment`."""
    distinguishing = distinguishing_labels(rows)
    return " · ".join(value for name, value in rows[0].labels.items() if name not in distinguishing) if rows else ""


def query_string(selection: Selection) -> str:
    """Return a selection as the query of an address."""
    values = selection.model_dump()
    return urlencode({name: "1" if value is True else value for name, value in values.items() if value})


def _heading(title: str, key: str, numeric: bool, selection: Selection, address: str) -> Heading:
    if not key:
        return Heading(title, numeric)
    current = selection.sort == key
    # The first click sorts best first: the highest score, the lowest cost.
    descending = not selection.descending if current else key == "score"
    changed = selection.model_copy(update={"sort": key, "descending": descending})
    order = ("descending" if selection.descending else "ascending") if current else ""
    return Heading(title, numeric, f"{address}?{query_string(changed)}", order)


def _score(row: ResultRow) -> str:
    if row.record is None or row.score is None:
        return "not scored" if row.status == "finished" else row.status
    return units.with_interval(row.score, low=row.record.score.low, high=row.record.score.high)
