"""Filters, sorting and pages of lists, for the API and for the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from loretta_core.report.pareto import COSTS
from loretta_core.report.rows import ResultRow

T = TypeVar("T")

FILTERS = ("model", "task", "method", "trainer")

_SORT_KEYS: dict[str, Callable[[ResultRow], float | str | None]] = {
    "score": lambda row: row.score,
    **COSTS,
    "method": lambda row: row.labels["method"],
    "trainer": lambda row: row.labels["trainer"],
    "seed": lambda row: row.cell.seed,
}


class Selection(BaseModel):
    """A filter by label, where an empty value takes all, and the order of rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = ""
    task: str = ""
    method: str = ""
    trainer: str = ""
    status: str = ""
    sort: str = ""
    """A key of the table; empty keeps the comparison's own order: by task, best first."""
    descending: bool = False


def select(rows: Sequence[ResultRow], selection: Selection) -> list[ResultRow]:
    """Return the rows that match, sorted; rows without a value for the key come last in either direction."""
    wanted = {name: value for name in FILTERS if (value := getattr(selection, name))}
    found = [
        row for row in rows if all(row.labels[name] == value for name, value in wanted.items()) and (not selection.status or row.status == selection.status)
    ]
    if not selection.sort:
        return found
    key = _SORT_KEYS[selection.sort]
    known = sorted((row for row in found if key(row) is not None), key=lambda row: key(row) or 0, reverse=selection.descending)
    return [*known, *(row for row in found if key(row) is None)]


def choices(rows: Sequence[ResultRow]) -> dict[str, list[str]]:
    """Return the values of each filter in the order of the rows, without filters that have one value."""
    found = {name: list(dict.fromkeys(row.labels[name] for row in rows)) for name in FILTERS}
    found["status"] = list(dict.fromkeys(row.status for row in rows))
    return {name: values for name, values in found.items() if len(values) > 1}


def paginate(items: Sequence[T], *, offset: int, limit: int) -> tuple[Sequence[T], int | None]:
    """Return a page of a list and the offset of the next page, None after the last."""
    end = offset + limit
    return items[offset:end], end if end < len(items) else None
