"""The engines that a cell may be computed with, each with its predicted memory and cost, cheapest first. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Auto, EngineConfig, Plain, Zero
from loretta_core.plan.cost import Cost, cost_of
from loretta_core.plan.devices import Devices, split_memory
from loretta_core.plan.lengths import row_shape
from loretta_core.plan.memory import Memory, memory_of
from loretta_core.plan.sizing import Sized
from loretta_core.plan.workload import Load

ROWS = 1000
"""Training rows of a task that does not say; for budgets in epochs."""


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
        """True if a worker's peak fits the device, and what is offloaded fits host memory."""
        return self.memory.peak <= self.usable and (self.devices.device.is_cpu or self.memory.host <= self.devices.device.host_bytes)


def engine_options(sized: Sized, devices: Devices) -> Iterator[EngineOption]:
    """Yield the cell with each engine that keeps everything on the devices, cheapest first: one device; ZeRO 1, 2, 3 on more and more.

    For a cell with another engine than `plain` and `auto` that one is the only option.
    """
    own = sized.cell.engine
    if not isinstance(own, Plain | Auto):
        yield try_engine(sized, own, devices)
        return
    yield try_engine(sized, own_engine(own), devices)
    for workers in _counts(sized.cell, devices):
        for stage in (1, 2, 3):
            yield try_engine(sized, Zero(type="zero", stage=stage, workers=workers, cpus=own.cpus, gpus=own.gpus), devices)


def offloaded(sized: Sized, devices: Devices) -> Iterator[EngineOption]:
    """Yield the cell with ZeRO and state in host memory, on one device and on more."""
    own = sized.cell.engine
    if devices.device.is_cpu or not isinstance(own, Plain | Auto) or not _can_shard(sized.cell):
        return
    for workers in (1, *_counts(sized.cell, devices)):
        for stage in (2, 3):
            yield try_engine(sized, Zero(type="zero", stage=stage, workers=workers, offload="cpu", cpus=own.cpus, gpus=own.gpus), devices)


def try_engine(sized: Sized, engine: EngineConfig, devices: Devices) -> EngineOption:
    """Return the prediction for the cell with one engine."""
    cell = sized.cell.model_copy(update={"engine": engine})
    rows = cell.batch_size // (engine.rows_in_parts * engine.gradient_accumulation)
    sequences, tokens = row_shape(cell.task, tokens=sized.tokens, trees=not cell.method.prompt_learning)
    load = Load(rows * sequences, tokens, sized.evaluation_tokens)
    memory = memory_of(cell, sized.shapes, load=load, cpu=devices.device.is_cpu)
    cost = cost_of(cell, sized.shapes, memory, load=load, devices=devices, rows=cell.task.train_rows or ROWS)
    return EngineOption(engine, devices, memory, cost)


def own_engine(engine: EngineConfig) -> EngineConfig:
    """Return the engine itself, or plain for `auto`."""
    return Plain(type="plain", gradient_accumulation=engine.gradient_accumulation, cpus=engine.cpus, gpus=engine.gpus) if isinstance(engine, Auto) else engine


def describe(engine: EngineConfig) -> str:
    """Return an engine in words: `plain`, `zero-3 × 2`, `zero-3 × 1, offload cpu`."""
    if isinstance(engine, Zero):
        offload = f", offload {engine.offload}" if engine.offload != "none" else ""
        return f"zero-{engine.stage} × {engine.workers}{offload}"
    return engine.type if engine.workers == 1 else f"{engine.type} × {engine.workers}"


def _counts(cell: CellConfig, devices: Devices) -> list[int]:
    """Return the numbers of workers to try: powers of two and all devices."""
    if not _can_shard(cell):
        return []
    powers = [count for count in (2, 4, 8, 16, 32, 64) if count < devices.count]
    return [count for count in (*powers, devices.count) if count > 1 and cell.batch_size % count == 0]


def _can_shard(cell: CellConfig) -> bool:
    """Return whether CellConfig lets ZeRO compute the cell."""
    return cell.trainer.type == "adam" and (cell.method.every_weight_trains or cell.precision == "fp32")
