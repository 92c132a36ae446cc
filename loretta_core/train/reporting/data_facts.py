"""The facts of a record on the rows of its cell: size and digest of each split, their columns, and the answers to choose from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from loretta_core.store.records import DataFacts, SplitFacts
from loretta_core.tasks.data.rows import Row, TaskData, content_of


def data_facts(data: TaskData) -> DataFacts:
    """Return the facts on the splits that the cell has seen; a trial that is not scored has seen no test rows."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test if data.scored_on == "test" else ()}
    first = data.train[0]
    shared = all(row.candidates == first.candidates for row in data.train)
    return DataFacts(
        splits={name: SplitFacts(rows=len(rows), sha256=_digest(rows)) for name, rows in splits.items() if rows},
        columns=list(first.text),
        labels=list(data.label_names),
        candidates=list(first.candidates) if shared else None,
        lead=first.lead,
    )


def _digest(rows: Sequence[Row]) -> str:
    return hashlib.sha256(json.dumps([content_of(row) for row in rows], sort_keys=True).encode()).hexdigest()
