"""Which rows of a comparison, in which order: the filters and sorting of the API and of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from loretta_core.report.pareto import COSTS
from loretta_core.report.rows import ResultRow

FILTERS = ("model", "task", "method", "trainer")

_KEYS: dict[str, Callable[[ResultRow], float | str | None]] = {
    "score": lambda row: row.score,
    **COSTS,
    "method": lambda row: row.labels["method"],
    "trainer": lambda row: row.labels["trainer"],
    "seed": lambda row: row.cell.seed,
}


class Selection(BaseModel):
    """Filters by label (empty takes all), and the order."""

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
    """The rows that match, sorted; those without the number come last either way."""
    wanted = {name: value for name in FILTERS if (value := getattr(selection, name))}
    found = [
        row for row in rows if all(row.labels[name] == value for name, value in wanted.items()) and (not selection.status or row.status == selection.status)
    ]
    if not selection.sort:
        return found
    key = _KEYS[selection.sort]
    known = sorted((row for row in found if key(row) is not None), key=lambda row: key(row) or 0, reverse=selection.descending)
    return [*known, *(row for row in found if key(row) is None)]


def choices(rows: Sequence[ResultRow]) -> dict[str, list[str]]:
    """Values of each filter, in the order of the rows; filters with one value are left out."""
    found = {name: list(dict.fromkeys(row.labels[name] for row in rows)) for name in FILTERS}
    found["status"] = list(dict.fromkeys(row.status for row in rows))
    return {name: values for name, values in found.items() if len(values) > 1}
