"""The lines with which a sweep starts: how much is finished, and what will be computed, left out or tried again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jobs.console.protocol_lines import protocol_lines
from jobs.storage.ledger import SweepStatus
from loretta_core.config import SweepConfig
from loretta_core.report.units import counted


def start_lines(config: SweepConfig, status: SweepStatus, *, stopped: int, out: Path, settled: int = 0) -> Iterator[str]:
    """Write the lines of a sweep that starts.

    Args:
        status: of the cells, before any is computed.
        stopped: how many cells an earlier start stopped early.
        settled: how many failed cells are not tried again, since their contender's winner is chosen.
    """
    total, finished = len(config.cells), len(status.finished)
    left = total - finished - stopped - settled
    early = f", {stopped} stopped early" if stopped else ""
    yield f"sweep {config.name}: {finished} of {counted(total, 'cell')} finished{early}, {f'{left} to run' if left else 'nothing to run'} → {out}"
    if config.rounds is not None and not config.rounds.complete:
        samples = counted(config.rounds.search.samples, "sample")
        yield f"search: Optuna draws the later of {samples} per point of the grid from the scores of the earlier"
    yield from protocol_lines(config)
    if left:
        yield from (f"caution: {caution}" for caution in dict.fromkeys(caution for cell in config.cells for caution in cell.cautions))
    for label in config.duplicates:
        yield f"duplicate cell, runs once: {label}"
    for description, reason in config.skipped:
        yield f"skipped: {description}: {reason}"
    yield from config.notices
    for reason in status.damaged.values():
        yield f"runs again: {reason}"
    if status.unscored:
        yield f"{counted(len(status.unscored), 'cell')} already trained: only the test rows are scored"
    if len(status.failed) > settled:
        yield f"{counted(len(status.failed) - settled, 'cell')} that failed last time will be tried again"
