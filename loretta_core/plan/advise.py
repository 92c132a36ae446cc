"""Does a cell fit on given devices, with which engine, and what would it cost? Standard library only.

`plan_on` answers for one cell and one kind of device. A `plain` or `auto` cell is tried with the engines of `engine_options`, cheapest first; another cell with
its own engine. What fits only by moving state into host memory is named as the way out, and counts as fitting for `auto` alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Auto, EngineConfig, Plain, Zero
from loretta_core.config.method import MethodConfig
from loretta_core.config.model import Pretrained
from loretta_core.errors import ResourceError
from loretta_core.plan.architectures.blocks import Block, block_of, sites_of
from loretta_core.plan.architectures.layers import ModelLayers
from loretta_core.plan.cell import label_count, resolved_model
from loretta_core.plan.cost import Cost, cost_of
from loretta_core.plan.devices import DEVICES, Devices, split_memory
from loretta_core.plan.lengths import longest_row, sequences_per_row
from loretta_core.plan.memory import Load, Memory, Shapes, memory_of
from loretta_core.plan.params import trainable_parameters

_METHOD: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)

ROWS = 1000
"""Training rows of a task that does not say; for budgets in epochs."""
MOST_DEVICES = 64


@dataclass(frozen=True)
class Row:
    """A cell on devices, planned. Numbers are None where the architecture or the method cannot be counted before it is loaded."""

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
    """Of one worker, with `engine` where it fits, else with the cell's own."""
    usable_bytes: int | None = None
    host_bytes: int | None = None
    bottleneck: str | None = None
    advice: str | None = None
    """The nearest configuration that fits, in words."""
    total_params: int | None = None
    trainable_params: int | None = None
    parts: dict[str, int] | None = None
    """Bytes by part: weights, gradients, optimizer, masters, activations (and with checkpointing), logits, zo_buffers, …"""
    step_s: float | None = None
    total_s: float | None = None
    usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Sized:
    """A cell with the shapes of its model, which do not depend on where it runs."""

    cell: CellConfig
    shapes: Shapes
    tokens: int
    evaluation_tokens: int


@dataclass(frozen=True)
class EngineOption:
    """A cell with one engine on devices."""

    engine: EngineConfig
    devices: Devices
    memory: Memory
    cost: Cost

    @property
    def usable(self) -> int:
        """Bytes that a worker may take."""
        device = self.devices.device
        return split_memory(device, workers=self.engine.workers).usable_bytes if device.is_cpu else device.usable_bytes

    @property
    def fits(self) -> bool:
        """On the device, and what is moved off it in host memory."""
        return self.memory.peak <= self.usable and (self.devices.device.is_cpu or self.memory.host <= self.devices.device.host_bytes)


def size(cell: CellConfig, *, tokens: int | None = None, evaluation_tokens: int | None = None) -> Sized | None:
    """Look the model up; None when it cannot be counted. `tokens` of the longest row: None takes what is usual for the task."""
    shapes = _shapes(cell)
    if shapes is None:
        return None
    longest = longest_row(cell.task)
    return Sized(cell, shapes, tokens or longest, evaluation_tokens or tokens or longest)


def plan_on(cell: CellConfig, devices: Devices, *, sized: Sized | None = None) -> Row:
    """One row of the plan."""
    sized = sized or size(cell)
    if sized is None:
        return replace(_blank(cell, devices), fits=None)
    chosen = next((trial for trial in engine_options(sized, devices) if trial.fits), None)
    if chosen is not None:
        return _row(sized, chosen, fits=True, engine=describe(chosen.engine), advice=None)
    way_out = next((trial for trial in offloaded(sized, devices) if trial.fits), None)
    if way_out is not None and isinstance(cell.engine, Auto):
        return _row(sized, way_out, fits=True, engine=describe(way_out.engine), advice=None)
    own = try_engine(sized, _own(cell.engine), devices)
    return _row(sized, own, fits=False, engine=describe(way_out.engine) if way_out else None, advice=nearest(sized, own, way_out=way_out))


def choose(cell: CellConfig, devices: Devices) -> CellConfig:
    """The cell with the engine that it will run with: for `auto` the cheapest that fits, otherwise its own. Raises ResourceError when it does not fit, with the
    nearest configuration that does. A cell that cannot be counted is let through as it is (`auto`: plain)."""
    sized = size(cell)
    auto = isinstance(cell.engine, Auto)
    if sized is None:
        return cell.model_copy(update={"engine": _own(cell.engine)}) if auto else cell
    own = try_engine(sized, _own(cell.engine), devices)
    tried = itertools.chain(engine_options(sized, devices), offloaded(sized, devices)) if auto else iter([own])
    fitting = next((trial for trial in tried if trial.fits), None)
    if fitting is not None:
        return cell.model_copy(update={"engine": fitting.engine})
    raise ResourceError(
        f"{cell.label} cannot fit: a worker needs {gigabytes(own.memory.peak)}, most of it {own.memory.bottleneck}, and {devices} gives it "
        f"{gigabytes(own.usable)}; {nearest(sized, own)}"
    )


def engine_options(sized: Sized, devices: Devices) -> Iterator[EngineOption]:
    """The cell with each engine that keeps everything on the devices, cheapest first: one device; ZeRO 1, 2, 3 on more and more. A configured engine stands
    for itself."""
    own = sized.cell.engine
    if not isinstance(own, Plain | Auto):
        yield try_engine(sized, own, devices)
        return
    yield try_engine(sized, _own(own), devices)
    for workers in _counts(sized.cell, devices):
        for stage in (1, 2, 3):
            yield try_engine(sized, Zero(type="zero", stage=stage, workers=workers, cpus=own.cpus, gpus=own.gpus), devices)


def offloaded(sized: Sized, devices: Devices) -> Iterator[EngineOption]:
    """The cell with ZeRO and state in host memory, on one device and on more."""
    own = sized.cell.engine
    if devices.device.is_cpu or not isinstance(own, Plain | Auto) or not _can_shard(sized.cell):
        return
    for workers in (1, *_counts(sized.cell, devices)):
        for stage in (2, 3):
            yield try_engine(sized, Zero(type="zero", stage=stage, workers=workers, offload="cpu", cpus=own.cpus, gpus=own.gpus), devices)


def try_engine(sized: Sized, engine: EngineConfig, devices: Devices) -> EngineOption:
    """Predict the cell with one engine."""
    cell = sized.cell.model_copy(update={"engine": engine})
    rows = cell.batch_size // (engine.rows_in_parts * engine.gradient_accumulation)
    load = Load(rows * sequences_per_row(cell.task), sized.tokens, sized.evaluation_tokens)
    memory = memory_of(cell, sized.shapes, load=load, cpu=devices.device.is_cpu)
    cost = cost_of(cell, sized.shapes, memory, load=load, devices=devices, rows=cell.task.train_rows or ROWS)
    return EngineOption(engine, devices, memory, cost)


def nearest(sized: Sized, own: EngineOption, *, way_out: EngineOption | None = None) -> str:
    """The nearest configuration that fits, for a cell that does not with `own`: smaller pieces, state in host memory, more of these devices, a larger one."""
    cell, devices = sized.cell, own.devices
    engine = cell.engine if isinstance(cell.engine, Plain | Auto) else Plain(type="plain", cpus=cell.engine.cpus, gpus=cell.engine.gpus)
    free = replace(sized, cell=cell.model_copy(update={"engine": engine}))
    if own.memory.static + own.memory.gradients + own.memory.step < own.usable:
        for pieces in (2, 4, 8, 16):
            if cell.batch_size % pieces == 0 and try_engine(free, _own(engine).model_copy(update={"gradient_accumulation": pieces}), devices).fits:
                return f"with engine.gradient_accumulation = {pieces} it fits"
    more = replace(devices, count=MOST_DEVICES)
    found = way_out or next(
        (trial for trial in itertools.chain(offloaded(free, devices), engine_options(free, more), offloaded(free, more)) if trial.fits), None
    )
    if found is not None:
        return f"it fits with engine = {describe(found.engine)}, {gigabytes(found.memory.peak)} on each {devices.device.name}"
    for larger in sorted(DEVICES.values(), key=lambda other: other.memory_bytes):
        if larger.memory_bytes > devices.device.memory_bytes and try_engine(free, Plain(type="plain"), Devices(larger)).fits:
            return f"it fits on one {larger.name}"
    return "no device or engine known here holds it; use a PEFT method, a smaller batch or a smaller model"


def _counts(cell: CellConfig, devices: Devices) -> list[int]:
    """Numbers of workers to try."""
    if not _can_shard(cell):
        return []
    powers = [count for count in (2, 4, 8, 16, 32, 64) if count < devices.count]
    return [count for count in (*powers, devices.count) if count > 1 and cell.batch_size % count == 0]


def _can_shard(cell: CellConfig) -> bool:
    """What CellConfig lets ZeRO do."""
    return cell.trainer.type == "adam" and (cell.method.type == "ft" or cell.precision == "fp32")


def describe(engine: EngineConfig) -> str:
    """`plain`, `zero-3 × 2`, `zero-3 × 1, offload cpu`."""
    if isinstance(engine, Zero):
        offload = f", offload {engine.offload}" if engine.offload != "none" else ""
        return f"zero-{engine.stage} × {engine.workers}{offload}"
    return engine.type if engine.workers == 1 else f"{engine.type} × {engine.workers}"


def gigabytes(count: int) -> str:
    """Decimal, as devices are named."""
    return f"{count / 1e9:.1f} GB"


def _own(engine: EngineConfig) -> EngineConfig:
    return Plain(type="plain", gradient_accumulation=engine.gradient_accumulation, cpus=engine.cpus, gpus=engine.gpus) if isinstance(engine, Auto) else engine


def _blank(cell: CellConfig, devices: Devices) -> Row:
    names = {"model": cell.model.caption, "task": cell.task.type, "method": cell.method.short_name, "trainer": cell.trainer.type}
    return Row(cell_id=cell.cell_id, label=cell.label, precision=cell.precision, device=str(devices), fits=None, engine=describe(_own(cell.engine)), **names)


def _row(sized: Sized, trial: EngineOption, *, fits: bool, engine: str | None, advice: str | None) -> Row:
    memory, cost = trial.memory, trial.cost
    return replace(
        _blank(sized.cell, trial.devices),
        fits=fits,
        engine=engine,
        workers=trial.engine.workers,
        peak_bytes=memory.peak,
        usable_bytes=trial.usable,
        host_bytes=memory.host,
        bottleneck=memory.bottleneck,
        advice=advice,
        total_params=sized.shapes.block.total,
        trainable_params=sized.shapes.trainable,
        parts=dict(vars(memory)),
        step_s=cost.step_s,
        total_s=cost.total_s,
        usd=cost.usd,
    )


def _shapes(cell: CellConfig) -> Shapes | None:
    labels = label_count(cell.task) if cell.task.objective == "head" else None
    if cell.task.objective == "head" and labels is None:
        labels = 2  # counted in the data; a few rows of a head weigh nothing
    return _looked_up(cell.model.model_dump_json(), labels, cell.method.model_dump_json())


@lru_cache(maxsize=1024)
def _looked_up(model_json: str, labels: int | None, method_json: str) -> Shapes | None:
    found = _model(model_json, labels)
    method: MethodConfig = _METHOD.validate_json(method_json)
    trainable = None if found is None else trainable_parameters(method, found[0])
    return None if found is None or trainable is None else Shapes(found[1], trainable, sites_of(method, found[1]))


@lru_cache(maxsize=256)
def _model(model_json: str, labels: int | None) -> tuple[ModelLayers, Block] | None:
    found = resolved_model(Pretrained.model_validate_json(model_json), labels=labels)
    if found is None:
        return None
    config, model = found
    block = block_of(config, model)
    return None if block is None else (model, block)
