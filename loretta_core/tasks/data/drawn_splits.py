"""Splits of the user's own files: test rows held out where no file has them, and as many rows of each as the task asks for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from loretta_core.config.task import Source
from loretta_core.config.tasks.own_files import OwnFiles
from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.disk_list import chosen
from loretta_core.tasks.data.reading.sources import caption
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_rows import draw_test_rows, hold_out


def named_sources(task: OwnFiles) -> dict[str, Source]:
    """Return split → what the task names for it; `test` is absent where it names nothing."""
    return {"train": task.train, "validation": task.validation} | ({"test": task.test} if task.test else {})


def drawn_splits(rows: Mapping[str, Sequence[Row]], task: OwnFiles) -> tuple[dict[str, Sequence[Row]], tuple[str, ...]]:
    """Return the rows that are used, and notes. Where the task names no test file, test rows are held out of the training rows before any are drawn.

    Raises DataError where more rows are asked for than there are.
    """
    limits = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    for split, source in named_sources(task).items():
        _check_limit(rows[split], limits[split], caption(source))
    kept, held = (rows, ()) if task.test else _with_test_rows(rows, task)
    draws: Mapping[str, Draw] = {split: draw_test_rows if split == "test" else random.Random(task.data_seed).sample for split in kept}
    return {split: _first(some, limits[split], draws[split]) for split, some in kept.items()}, held


Draw = Callable[[range, int], list[int]]


def _with_test_rows(rows: Mapping[str, Sequence[Row]], task: OwnFiles) -> tuple[Mapping[str, Sequence[Row]], tuple[str, ...]]:
    """Add test rows that are held out of the training rows, with a note on how many; none where there are too few."""
    kept, held = hold_out(rows["train"], validation=rows["validation"], wanted=task.test_rows)
    if not held:
        return rows, ()
    trained = min(len(kept), task.train_rows or len(kept))
    note = f"task.test names no file: {len(held)} of the {len(rows['train'])} training rows were held out as test rows, {trained} train"
    return {**rows, "train": kept, "test": held}, (note,)


def _check_limit(rows: Sequence[Row], limit: int | None, source: str) -> None:
    if limit is not None and limit > len(rows):
        raise DataError(f"{source}: {len(rows)} rows, and {limit} are asked for; lower the row count in [task] or leave it out to use all")


def _first(rows: Sequence[Row], limit: int | None, draw: Draw) -> Sequence[Row]:
    """Draw `limit` rows; all in their order where there are no more."""
    return rows if limit is None or limit >= len(rows) else chosen(rows, draw(range(len(rows)), limit))
