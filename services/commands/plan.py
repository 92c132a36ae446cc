"""`loretta plan FILE --device …`: print memory, time and cost of every cell on given devices, and of all that are still to run. Loads no weights and imports no
torch."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from loretta_core.config import SweepConfig
from loretta_core.plan.devices import parse_devices
from loretta_core.plan.placement.advice import gigabytes
from loretta_core.plan.placement.fit import DeviceFit
from loretta_core.report import units
from loretta_core.report.tables import Table, to_text
from loretta_core.report.units import counted
from services.queries.sweep_preview import CellStatus, as_started, cell_statuses, predict_on_devices

Statuses = Mapping[str, CellStatus]
"""Id of a cell → its status in the output directory."""

OVER: dict[CellStatus, str] = {"finished": "finished", "stopped early": "stopped early", "unscored": "trained, with test rows to score"}
"""The statuses of cells that are not trained again, in words."""


def show_plan(sweep: SweepConfig, *, out: Path, devices: Sequence[str], as_json: bool) -> str:
    """Return the plan as text or as a JSON list of rows. Raise ConfigError for a device that is not known, or an output directory that cannot be used."""
    sweep = as_started(sweep, out=out)
    rows = predict_on_devices(sweep, devices=devices)
    statuses = {cell.cell_id: status for cell, status in zip(sweep.cells, cell_statuses(sweep, out=out), strict=True)}
    if as_json:
        return json.dumps([{**row.to_json(), "status": statuses[row.cell_id]} for row in rows], indent=1, ensure_ascii=False)
    return _text(rows, devices, statuses, out=out)


def _text(rows: Sequence[DeviceFit], devices: Sequence[str], statuses: Statuses, *, out: Path) -> str:
    columns = ("device", "model", "method", "trainer", "precision", "fits", "engine", "memory of a worker", "most of it", "step", "run", "USD")
    body = tuple(
        (row.device, row.model, row.method, row.trainer, row.precision, _fits_text(row), row.engine or "none", _memory(row), row.bottleneck or units.DASH,
         _duration(row.step_s), _duration(row.total_s), units.DASH if row.usd is None else f"{row.usd:.2f}")
        for row in rows
    )  # fmt: skip
    notes = dict.fromkeys(f"{row.model} · {row.method} · {row.trainer} · {row.precision} on {row.device}: {row.advice}" for row in rows if row.advice)
    to_run = [row for row in rows if statuses[row.cell_id] not in OVER]
    totals = [_total(text, [row for row in to_run if row.device == str(parse_devices(text))]) for text in devices] if to_run else []
    return "\n".join([to_text(Table(columns=columns, body=body, numeric=5)), "", *notes, "", *_left_out(statuses, out=out), *totals, "Nothing was started."])


def _left_out(statuses: Statuses, *, out: Path) -> list[str]:
    """Return the line on the cells that are over, which the totals leave out."""
    counts = Counter(statuses.values())
    first, *others = [(counts[status], words) for status, words in OVER.items() if counts[status]] or [(0, "")]
    more = "".join(f", {count} {words}" for count, words in others)
    return [f"{first[0]} of {counted(len(statuses), 'cell')} {first[1]}{more} ({out}); not in what follows"] if first[0] else []


def _total(text: str, rows: Sequence[DeviceFit]) -> str:
    """Return the line on all cells that are to run: their time when as many run at once as the devices hold, and their cost."""
    fitting = [row for row in rows if row.fits and row.total_s is not None]
    count = parse_devices(text).count
    busy_s = sum((row.total_s or 0.0) * row.workers for row in fitting)
    longest_s = max((row.total_s or 0.0 for row in fitting), default=0.0)
    price = sum(row.usd for row in fitting if row.usd is not None)
    cost = f", {price:.2f} USD" if any(row.usd is not None for row in fitting) else ""
    taken = f"{text}: {len(fitting)} of {counted(len(rows), 'cell')} fit; all of them take {_duration(max(busy_s / count, longest_s))}{cost}"
    scored = sum((row.evaluation_s or 0.0) * row.workers for row in fitting)
    what = " or ".join(dict.fromkeys(row.evaluations for row in fitting if row.evaluations))
    return f"{taken}; {scored / busy_s:.0%} of it is evaluation (a cell scores {what})" if busy_s else taken


def _fits_text(row: DeviceFit) -> str:
    return "unknown" if row.fits is None else "yes" if row.fits else "no"


def _memory(row: DeviceFit) -> str:
    return units.DASH if row.peak_bytes is None or row.usable_bytes is None else f"{gigabytes(row.peak_bytes)} of {gigabytes(row.usable_bytes)}"


def _duration(duration_s: float | None) -> str:
    """Return a duration as in 0.2 s, 12 min, 3.4 h."""
    if duration_s is None:
        return units.DASH
    if duration_s < 120:
        return f"{duration_s:.2g} s" if duration_s < 10 else f"{math.ceil(duration_s)} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 7200 else f"{duration_s / 3600:.1f} h"
