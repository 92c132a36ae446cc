"""The answer for a cell on devices: does it fit, with which engine, and what does it cost? No torch.

A `plain` or `auto` cell is tried with the engines of `engine_options`, cheapest first; another cell with its own engine. What fits only by moving state into
host memory is named as the way out, and counts as fitting for `auto` alone.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Any

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Auto
from loretta_core.errors import ResourceError
from loretta_core.plan.cell import plan_cell
from loretta_core.plan.cost import TEST_ROWS, VALIDATION_ROWS, evaluations_of
from loretta_core.plan.devices import Devices
from loretta_core.plan.placement.advice import gigabytes, nearest
from loretta_core.plan.placement.engine_options import ROWS, EngineOption, describe, engine_options, offloaded, own_engine, try_engine
from loretta_core.plan.sizing import Sized, size, why_unsized


@dataclass(frozen=True)
class DeviceFit:
    """The planner's answer for a cell on devices: does it fit, with which engine, and what does it cost?

    Numbers are None where the architecture or the method cannot be counted before it is loaded.
    """

    cell_id: str
    label: str
    model: str
    task: str
    method: str
    trainer: str
    precision: str
    device: str
    fits: bool | None
    engine: str | None
    """The cheapest engine that fits, or with which it would fit; None when none does."""
    workers: int = 1
    """Devices that the numbers below are for."""
    peak_bytes: int | None = None
    """Peak memory of one worker, with `engine` where it fits, else with the cell's own."""
    usable_bytes: int | None = None
    """Memory that one worker may take."""
    host_bytes: int | None = None
    """Host memory that one worker needs besides a GPU's."""
    bottleneck: str | None = None
    advice: str | None = None
    """The nearest configuration that fits, in words."""
    total_params: int | None = None
    trainable_params: int | None = None
    parts: dict[str, int] | None = None
    """Bytes by part: weights, gradients, optimizer, masters, activations (and with checkpointing), logits, zo_buffers, …"""
    step_s: float | None = None
    total_s: float | None = None
    evaluation_s: float | None = None
    """The part of `total_s` that is evaluation."""
    evaluations: str | None = None
    """What is scored, in words."""
    usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self)


def plan_on(cell: CellConfig, devices: Devices, *, sized: Sized | None = None) -> DeviceFit:
    """Return how the cell fits on devices of one kind. `sized`: the cell with its shapes, where the caller has looked them up."""
    sized = sized or size(cell)
    if sized is None:
        return replace(_uncounted(cell, devices), fits=None, advice=why_unsized(cell), trainable_params=plan_cell(cell).trainable_params)
    chosen = next((option for option in engine_options(sized, devices) if option.fits), None)
    if chosen is not None:
        return _counted(sized, chosen, fits=True, engine=describe(chosen.engine), advice=None)
    way_out = next((option for option in offloaded(sized, devices) if option.fits), None)
    if way_out is not None and isinstance(cell.engine, Auto):
        return _counted(sized, way_out, fits=True, engine=describe(way_out.engine), advice=None)
    own = try_engine(sized, own_engine(cell.engine), devices)
    return _counted(sized, own, fits=False, engine=describe(way_out.engine) if way_out else None, advice=nearest(sized, own, way_out=way_out))


def choose(cell: CellConfig, devices: Devices) -> CellConfig:
    """Return the cell with the engine that it will run with: for `auto` the cheapest that fits, otherwise its own.

    A cell that cannot be counted is let through as it is (`auto`: plain). Raises ResourceError when it does not fit, with the nearest configuration that does.
    """
    sized = size(cell)
    auto = isinstance(cell.engine, Auto)
    if sized is None:
        return cell.model_copy(update={"engine": own_engine(cell.engine)}) if auto else cell
    own = try_engine(sized, own_engine(cell.engine), devices)
    tried = itertools.chain(engine_options(sized, devices), offloaded(sized, devices)) if auto else iter([own])
    fitting = next((option for option in tried if option.fits), None)
    if fitting is not None:
        return cell.model_copy(update={"engine": fitting.engine})
    raise ResourceError(
        f"{cell.label} cannot fit: a worker needs {gigabytes(own.memory.peak)}, most of it {own.memory.bottleneck}, and {devices} gives it "
        f"{gigabytes(own.usable)}; {nearest(sized, own)}"
    )


def _uncounted(cell: CellConfig, devices: Devices) -> DeviceFit:
    names = {"model": cell.model.caption, "task": cell.task.type, "method": cell.method.short_name, "trainer": cell.trainer.type}
    return DeviceFit(
        cell_id=cell.cell_id, label=cell.label, precision=cell.precision, device=str(devices), fits=None, engine=describe(own_engine(cell.engine)), **names
    )


def _counted(sized: Sized, option: EngineOption, *, fits: bool, engine: str | None, advice: str | None) -> DeviceFit:
    memory, cost = option.memory, option.cost
    return replace(
        _uncounted(sized.cell, option.devices),
        fits=fits,
        engine=engine,
        workers=option.engine.workers,
        peak_bytes=memory.peak,
        usable_bytes=option.usable,
        host_bytes=memory.host,
        bottleneck=memory.bottleneck,
        advice=advice,
        total_params=sized.shapes.block.total,
        trainable_params=sized.shapes.trainable if sized.cell.trainer.trains else 0,
        parts=dict(vars(memory)),
        step_s=cost.step_s,
        total_s=cost.total_s,
        evaluation_s=cost.evaluation_s,
        evaluations=_evaluations(sized.cell),
        usd=cost.usd,
    )


def _evaluations(cell: CellConfig) -> str:
    """Return in words how often which rows are scored."""
    steps = cell.trainer.total_steps(rows=cell.task.train_rows or ROWS, batch_size=cell.batch_size)
    validation = f"{evaluations_of(cell, steps=steps)} × {cell.task.validation_rows or VALIDATION_ROWS} validation rows"
    return f"{validation}, 2 × {cell.task.test_rows or TEST_ROWS} test rows" if cell.score_test else validation
