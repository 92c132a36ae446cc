"""The nearest configuration that fits, in words, for a cell that does not. No torch."""

from __future__ import annotations

import itertools
from dataclasses import replace

from loretta_core.config.engine import Auto, Plain
from loretta_core.plan.devices import DEVICES, Devices
from loretta_core.plan.placement.engine_options import EngineOption, describe, engine_options, offloaded, own_engine, try_engine
from loretta_core.plan.sizing import Sized

MOST_DEVICES = 64
"""Largest number of devices that is suggested."""


def nearest(sized: Sized, own: EngineOption, *, way_out: EngineOption | None = None) -> str:
    """Return the nearest configuration that fits, for a cell that does not with `own`.

    Tried in this order: smaller pieces of a batch, state in host memory (`way_out`, where the caller has found it), more of these devices, a larger one.
    """
    cell, devices = sized.cell, own.devices
    engine = cell.engine if isinstance(cell.engine, Plain | Auto) else Plain(type="plain", cpus=cell.engine.cpus, gpus=cell.engine.gpus)
    free = replace(sized, cell=cell.model_copy(update={"engine": engine}))
    if own.memory.static + own.memory.gradients + own.memory.step < own.usable:
        for pieces in (2, 4, 8, 16):
            if cell.batch_size % pieces == 0 and try_engine(free, own_engine(engine).model_copy(update={"gradient_accumulation": pieces}), devices).fits:
                return f"with engine.gradient_accumulation = {pieces} it fits"
    more = replace(devices, count=MOST_DEVICES)
    found = way_out or next(
        (option for option in itertools.chain(offloaded(free, devices), engine_options(free, more), offloaded(free, more)) if option.fits), None
    )
    if found is not None:
        return f"it fits with engine = {describe(found.engine)}, {gigabytes(found.memory.peak)} on each {devices.device.name}"
    for larger in sorted(DEVICES.values(), key=lambda other: other.memory_bytes):
        if larger.memory_bytes > devices.device.memory_bytes and try_engine(free, Plain(type="plain"), Devices(larger)).fits:
            return f"it fits on one {larger.name}"
    return "no device or engine known here holds it; use a PEFT method, a smaller batch or a smaller model"


def gigabytes(count: int) -> str:
    """Return bytes in words, in decimal gigabytes, as devices are named."""
    return f"{count / 1e9:.1f} GB"
