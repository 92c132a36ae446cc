"""The rows of a published task's split by the hub's column names, from the hub, or from files that are named and arranged as on the hub or officially."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from loretta_core.config.task import Published
from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import Benchmark
from loretta_core.tasks.data.official.find import find_split
from loretta_core.tasks.data.official.layouts import LAYOUTS, LM_BFF_LABEL, TREC_OF_LM_BFF
from loretta_core.tasks.data.official.lines import line_rows
from loretta_core.tasks.data.official.nested import flat_rows
from loretta_core.tasks.data.reading.files import Form, Found, read_rows
from loretta_core.tasks.data.reading.hub import hub_rows
from loretta_core.tasks.data.reading.labels import empty

_TARGETS: dict[str, tuple[str, ...]] = {
    "record": ("entities", "answers"),
    "squad": ("answers",),
    "drop": ("answers_spans",),
    "gsm8k": ("answer",),
    "metamathqa": ("response",),
    "mmlu": ("choices", "answer"),
}
_UNLABELLED = {"snli": ("-", -1, "-1")}
"""Tasks in which rows without a label are part of the official files → what stands there."""
_CORRUPT = ("qqp",)
"""Tasks whose official files hold broken rows, which the hub leaves out."""


def benchmark_rows(task: Published, benchmark: Benchmark, split: str) -> Found:
    """Return the rows of a split with the hub's columns. Raises DataError with the place of what cannot be read."""
    targets = _TARGETS.get(task.type, ("label",))
    needed = (*benchmark.text, *targets)
    strangers = task.columns.keys() - {*needed}
    if strangers:
        raise DataError(f"task.columns names {', '.join(sorted(strangers))}; the columns of {task.type} are {', '.join(benchmark.text)} and its label")
    adapt = partial(_adapted, task=task)
    if task.path is None:
        rows = hub_rows(benchmark.hub, benchmark.part, split)
        found = Found([(f"{benchmark.hub} {split}:{number}", adapted) for number, item in rows for adapted in adapt(item)])
    else:
        found = _from_files(task, find_split(Path(task.path).expanduser(), task.type, benchmark, split), needed=needed)
    return _kept(task, found, needed)


def _from_files(task: Published, files: Sequence[Path], *, needed: Sequence[str]) -> Found:
    # The user's own column names are asked for as they are in the file, so that an error names them.
    form = Form(headless=LAYOUTS[task.type].headless)
    pieces = [line_rows(task.type, path) or read_rows(path, columns=needed, form=form, adapt=partial(_adapted, task=task, file=path)) for path in files]
    return Found([row for piece in pieces for row in piece.rows], tuple(note for piece in pieces for note in piece.notes))


def _adapted(item: Any, *, task: Published, file: Path | None = None) -> list[Any]:
    """Return the rows of a row of a file, with the hub's names beside the file's own; the subject of MMLU's rows is in the name of the file."""
    if not isinstance(item, dict):
        return [item]
    names = {theirs: name for theirs, name in LAYOUTS[task.type].columns.items() if name not in item} | {theirs: name for name, theirs in task.columns.items()}
    rows = [{**flat, **{name: flat[theirs] for theirs, name in names.items() if theirs in flat}} for flat in map(dict, flat_rows(task.type, item))]
    if task.type == "mmlu" and file is not None and not item.get("subject"):
        return [{**row, "subject": file.stem.removesuffix("_test")} for row in rows]
    if LM_BFF_LABEL in item:
        return [{**item, "label": TREC_OF_LM_BFF[int(item[LM_BFF_LABEL])]}]
    return rows


def _kept(task: Published, found: Found, needed: Sequence[str]) -> Found:
    """Leave out the rows that the hub leaves out or marks as unlabelled, with a note on how many."""
    unlabelled = _UNLABELLED.get(task.type, ())
    kept = [
        (place, item)
        for place, item in found.rows
        if not (unlabelled and item["label"] in unlabelled) and not (task.type in _CORRUPT and any(empty(item[name]) for name in needed))
    ]
    left_out = len(found.rows) - len(kept)
    if not left_out:
        return found
    place = found.rows[0][0].rpartition(":")[0]
    return Found(kept, (*found.notes, f"{place}: {left_out} of {len(found.rows)} rows have no label or an empty text and are left out"))
