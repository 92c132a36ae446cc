"""A thread that reads the journals of cells that learn from rewards, and says so once when a step could not tell its rewards apart (`EQUAL_REWARDS`).

Such a step changes nothing. Early in a run it is common where answers are right or wrong and none is right yet; a run of them learns nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jobs.orchestration.start_watch import START_POLL_S
from jobs.orchestration.watchers import Watcher, polling
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.train.sinks import EQUAL_REWARDS, JOURNAL_NAME


def watch_rewards(cells: Sequence[CellConfig], *, out: Path, say: Callable[[str], None]) -> Watcher:
    """Return a watcher that says once for each model and task that all rewards of a step were equal."""
    waiting = {cell_directory(out, cell.cell_id) / JOURNAL_NAME: cell for cell in cells if cell.trainer.rewarded}
    read = {journal: journal.stat().st_size if journal.is_file() else 0 for journal in waiting}
    said: set[str] = set()

    def look() -> None:
        for journal, cell in list(waiting.items()):
            lines, read[journal] = _new_lines(journal, after=read[journal])
            step = next((line["step"] for line in lines if EQUAL_REWARDS in line), None)
            if step is None:
                continue
            del waiting[journal]
            place = f"{cell.model.caption} · {cell.task.type}"
            if place not in said:
                said.add(place)
                say(
                    f"caution: {place}: all rewards of step {step:g} were equal, so there was nothing to learn from it. If that goes on, use a larger batch, "
                    "population (num_directions) or zo_eps, or a metric with partial credit, such as squad_f1"
                )

    return polling(look, every_s=START_POLL_S)


def _new_lines(journal: Path, *, after: int) -> tuple[list[dict[str, float]], int]:
    """Return the whole lines of a journal behind byte `after`, and where they end."""
    try:
        with journal.open("rb") as file:
            file.seek(after)
            found = file.read()
    except OSError:
        return [], after
    whole = found[: found.rfind(b"\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
    return lines, after + len(whole)
