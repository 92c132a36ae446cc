"""A thread that reads how running zeroth-order cells start, and says so at once where it promises nothing: a later table would be too late to save the hours.

The cells run elsewhere; their journals are on the storage that all share. A worker notes there, before the first step, that the prompt answers no better than
the most frequent label (`UNALIGNED`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jobs.orchestration.watchers import Watcher, polling
from loretta_core.config import CellConfig
from loretta_core.config.task import FRESH_HEADS
from loretta_core.store.layout import cell_directory
from loretta_core.train.sinks import JOURNAL_NAME, UNALIGNED

START_POLL_S = 2.0
HEAD_BYTES = 4096
"""Of a journal: more than what a cell writes before its first step."""


def watch_starts(cells: Sequence[CellConfig], *, out: Path, say: Callable[[str], None]) -> Watcher:
    """Return a watcher that says once for each model, task and prompt that zeroth-order training starts from an unaligned prompt."""
    waiting = {cell.cell_id: cell for cell in cells if cell.trainer.zeroth_order and cell.task.objective not in FRESH_HEADS}
    sizes = {cell_id: _journal(out, cell_id).stat().st_size if _journal(out, cell_id).is_file() else 0 for cell_id in waiting}
    said: set[str] = set()

    def look() -> None:
        for cell_id, cell in list(waiting.items()):
            steps = _first_lines(_journal(out, cell_id), after=sizes[cell_id])
            if not steps:
                continue
            del waiting[cell_id]
            place = f"{cell.model.caption} · {cell.task.type}"
            if any(UNALIGNED in line for line in steps) and place not in said:
                said.add(place)
                say(
                    f"caution: {place}: before training, the prompt answers no better than always giving the most frequent label; zeroth order rarely learns "
                    "from there: try another prompt or model, or a first-order trainer"
                )

    return polling(look, every_s=START_POLL_S)


def _journal(out: Path, cell_id: str) -> Path:
    return cell_directory(out, cell_id) / JOURNAL_NAME


def _first_lines(journal: Path, *, after: int) -> list[dict[str, float]]:
    """Return the lines of a start once the cell has scored the validation rows; what an earlier attempt wrote, up to byte `after`, is not looked at."""
    try:
        with journal.open("rb") as file:
            file.seek(after)
            head = file.read(HEAD_BYTES)
    except OSError:
        return []
    lines = [json.loads(line) for line in head.split(b"\n")[:-1] if line.startswith(b"{") and line.endswith(b"}")]
    return lines if any("validation_score" in line or "status" in line or line.get("step") for line in lines) else []
