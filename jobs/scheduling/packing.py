"""Which cells are computed together, on one copy of their frozen model (`loretta_core.pack`). Decided before they start, from the cells alone.

    alike       model, task, method, precision, batch size and engine are the same, and both are zeroth order or both first order; learning rates, scales,
                directions, steps and zeroth-order trainers may differ
    "auto"      alike, zeroth order, and the same seed, so that all see the same rows; where the planner expects at least a tenth more cells per hour
    a number    alike, of any seeds: batches are padded to the longest of the pack. For GPUs, where a small batch leaves most of the device idle

A pack is never so large that a worker group would have nothing to do, nor larger than the memory of a worker is expected to hold.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence

from jobs.scheduling.admission import devices_for
from jobs.scheduling.resources import Node
from loretta_core.config import CellConfig
from loretta_core.config.engine import Plain
from loretta_core.config.sweep.load import PackSetting
from loretta_core.config.trainer import InContext, NoTraining
from loretta_core.errors import LorettaError
from loretta_core.plan.placement.engine_options import EngineOption, try_engine
from loretta_core.plan.placement.packing import PAYS, gain, variants_of
from loretta_core.plan.sizing import size

Pack = tuple[CellConfig, ...]
"""Cells that one worker group computes at the same time; most often one."""

MOST = 8
"""Cells of a pack that forms by itself."""


def form_packs(cells: Sequence[CellConfig], *, setting: PackSetting, groups: int, nodes: Sequence[Node]) -> list[Pack]:
    """The cells in packs, ordered by their first cells.

    Args:
        groups: worker groups that wait for them.
        nodes: of the cluster, for the memory of a worker.
    """
    wanted = setting if isinstance(setting, int) else {"off": 1, "auto": MOST}[setting]
    most = min(wanted, math.ceil(len(cells) / max(1, groups)))
    if most < 2:
        return [(cell,) for cell in cells]
    alike: dict[str, list[CellConfig]] = {}
    for cell in cells:
        alike.setdefault(_kind(cell, auto=setting == "auto"), []).append(cell)
    packs = [pack for members in alike.values() for pack in _cut(members, min(most, _together(members, nodes, auto=setting == "auto")))]
    order = {cell.cell_id: index for index, cell in enumerate(cells)}
    return sorted(packs, key=lambda pack: order[pack[0].cell_id])


def _kind(cell: CellConfig, *, auto: bool) -> str:
    """Equal for cells that can be computed together; a cell's own id where it can be with none."""
    trainer = cell.trainer
    batches = not isinstance(trainer, NoTraining | InContext) and not trainer.jumps and getattr(trainer, "estimator", "") != "forward_gradient"
    if not batches or cell.method.every_weight_trains or not isinstance(cell.engine, Plain) or (auto and not trainer.zeroth_order):
        return cell.cell_id
    fields = {name: value for name, value in cell.to_dict().items() if name not in ("trainer", "seed")}
    return json.dumps([fields, trainer.zeroth_order, cell.seed if auto else None, cell.engine.model_dump()], sort_keys=True, default=str)


def _cut(cells: Sequence[CellConfig], most: int) -> list[Pack]:
    """In pieces of nearly equal size."""
    pieces = math.ceil(len(cells) / most)
    bounds = [len(cells) * index // pieces for index in range(pieces + 1)]
    return [tuple(cells[start:end]) for start, end in itertools.pairwise(bounds)]


def _together(cells: Sequence[CellConfig], nodes: Sequence[Node], *, auto: bool) -> int:
    """How many of these to compute together at most: as many as memory holds; with `auto`, 1 where it does not pay or nobody knows."""
    unknown = 1 if auto else len(cells)
    if len(cells) == 1:
        return 1
    try:
        devices = devices_for(cells[0], nodes)
        sizes = [size(cell) for cell in cells]
    except LorettaError:
        return unknown
    known = [one for one in sizes if one is not None]
    if devices is None or len(known) < len(cells):
        return unknown
    trials = [try_engine(one, one.cell.engine, devices) for one in known]
    if auto and gain(known[0], trials[0], variants=variants_of(known[:MOST])) < PAYS:
        return 1
    return _that_fit(trials)


def _that_fit(trials: Sequence[EngineOption]) -> int:
    """The weights are there once, all else as often as there are cells."""
    weights, own = trials[0].memory.weights, max(trial.memory.peak - trial.memory.weights for trial in trials)
    return max(1, (trials[0].usable - weights) // max(1, own))
