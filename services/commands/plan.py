"""`loretta plan FILE --device …`: what every cell of a sweep would take on given devices. Reads config.json or a built-in table; no weights, no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from loretta_core.config import SweepConfig
from loretta_core.errors import ConfigError
from loretta_core.plan.devices import Devices, parse_devices
from loretta_core.plan.placement.advice import gigabytes
from loretta_core.plan.placement.fit import DeviceFit, plan_on
from loretta_core.plan.sizing import size
from loretta_core.report import units
from loretta_core.report.tables import Table, to_text
from loretta_core.report.units import counted


def show_plan(sweep: SweepConfig, *, devices: Sequence[str], as_json: bool) -> str:
    """The plan as text or as a JSON list of rows. Raises ConfigError for a device that is not known."""
    rows = plan_text(sweep, devices=devices)
    return json.dumps([row.to_json() for row in rows], indent=1, ensure_ascii=False) if as_json else _text(sweep, rows, devices)


def plan_text(sweep: SweepConfig, *, devices: Sequence[str]) -> list[DeviceFit]:
    """`plan_rows` for devices as people write them. Raises ConfigError for none, or one that is not known."""
    if not devices:
        raise ConfigError("no device given: name at least one, e.g. --device a100-80gb or --device cpu (this machine)")
    return plan_rows(sweep, [parse_devices(text) for text in devices])


def plan_rows(sweep: SweepConfig, devices: Sequence[Devices]) -> list[DeviceFit]:
    """One row per cell and device, in their orders."""
    sized = [size(cell) for cell in sweep.cells]
    return [plan_on(cell, kind, sized=found) for kind in devices for cell, found in zip(sweep.cells, sized, strict=True)]


def _text(sweep: SweepConfig, rows: Sequence[DeviceFit], devices: Sequence[str]) -> str:
    columns = ("device", "model", "method", "trainer", "precision", "fits", "engine", "memory of a worker", "most of it", "step", "run", "USD")
    body = tuple(
        (row.device, row.model, row.method, row.trainer, row.precision, _yes(row), row.engine or "none", _memory(row), row.bottleneck or units.DASH,
         _duration(row.step_s), _duration(row.total_s), units.DASH if row.usd is None else f"{row.usd:.2f}")
        for row in rows
    )  # fmt: skip
    notes = dict.fromkeys(f"{row.model} · {row.method} · {row.trainer} · {row.precision} on {row.device}: {row.advice}" for row in rows if row.advice)
    totals = [_total(text, [row for row in rows if row.device == str(parse_devices(text))], sweep) for text in devices]
    return "\n".join([to_text(Table(columns=columns, body=body, numeric=5)), "", *notes, "", *totals, "Nothing was started."])


def _total(text: str, rows: Sequence[DeviceFit], sweep: SweepConfig) -> str:
    """Time of the whole sweep when as many cells run at once as the devices hold."""
    fitting = [row for row in rows if row.fits and row.total_s is not None]
    count = parse_devices(text).count
    busy_s = sum((row.total_s or 0.0) * row.workers for row in fitting)
    longest_s = max((row.total_s or 0.0 for row in fitting), default=0.0)
    price = sum(row.usd for row in fitting if row.usd is not None)
    cost = f", {price:.2f} USD" if any(row.usd is not None for row in fitting) else ""
    return f"{text}: {len(fitting)} of {counted(len(sweep.cells), 'cell')} fit; all of them take {_duration(max(busy_s / count, longest_s))}{cost}"


def _yes(row: DeviceFit) -> str:
    return "unknown" if row.fits is None else "yes" if row.fits else "no"


def _memory(row: DeviceFit) -> str:
    return units.DASH if row.peak_bytes is None or row.usable_bytes is None else f"{gigabytes(row.peak_bytes)} of {gigabytes(row.usable_bytes)}"


def _duration(seconds: float | None) -> str:
    """0.2 s, 12 min, 3.4 h."""
    if seconds is None:
        return units.DASH
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
