"""The engine for one device, or for several workers that each hold the whole model (data parallel).

first order     every worker back-propagates its rows; gradients are summed over the workers before clipping and stepping
zeroth order    workers exchange losses only (`zo/distributed.py`): of their rows, or of their directions on the whole batch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import SGD, Optimizer

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Ddp
from loretta_core.config.trainer import FirstOrderTrainer, InContext, NoTraining
from loretta_core.errors import ModelError
from loretta_core.train.checkpoint import ModelState
from loretta_core.train.engines.optimizers import build_optimizer, decay_groups
from loretta_core.train.pack_context import SOLO, Backward, PackContext
from loretta_core.train.state import Checkpointer, TrainingState
from loretta_core.train.step import LossFn, Step, back_propagate, first_order_step, zeroth_order_step
from loretta_core.train.workers import Workers
from loretta_core.zo.build import build_optimizer as build_zo_optimizer
from loretta_core.zo.distributed import DataParallel, DirectionParallel
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.population import Population
from loretta_core.zo.replay_log import LogWriter
from loretta_core.zo.variants import Batched, Evaluator


@dataclass(frozen=True)
class TrainingEngine:
    """An optimizer step and the state that it changes, with how that state is saved and exported."""

    state: TrainingState
    step: Step
    checkpointer: Checkpointer | None = None
    """Saves the state, where one file is not enough."""
    export: Callable[[Path], None] | None = None
    """Writes the trained weights, where no process holds them all."""
    release: Callable[[], None] = lambda: None
    """Ends training: removes hooks and gives the parameters storage of their own, so that the model can be saved."""


def plain_engine(
    cell: CellConfig,
    trainable: Mapping[str, nn.Parameter],
    *,
    model: nn.Module,
    loss_fn: LossFn,
    steps_per_epoch: int,
    workers: Workers,
    pack_context: PackContext = SOLO,
    log: Path | None = None,
) -> TrainingEngine:
    """Return the training engine of a cell; the trainable parameters of all workers start equal.

    Args:
        model: the model that `loss_fn` calls.
        loss_fn: loss of this worker's rows.
        pack_context: how the cell shares computation. It gets what torch.func can differentiate or batch: not a `loss_fn` of predictions.
        log: path at which the first worker of a zeroth-order cell writes the replay log.
    """
    parameters = list(trainable.values())
    workers.broadcast_from_first(parameters)
    match cell.trainer:
        case NoTraining() | InContext():
            optimizer: Optimizer = SGD(parameters, lr=0.0)
            backward: Backward = partial(back_propagate, loss_fn=loss_fn)
            return TrainingEngine(ModelState(trainable, optimizer), partial(first_order_step, backward=backward, optimizer=optimizer, max_grad_norm=None))
        case FirstOrderTrainer() as trainer:
            optimizer = build_optimizer(parameters, trainer=trainer, masters=cell.precision == "mixed" and cell.method.every_weight_trains)
            backward = pack_context.backward(partial(back_propagate, loss_fn=loss_fn, world=workers.world))
            step = partial(first_order_step, backward=backward, optimizer=optimizer, max_grad_norm=trainer.max_grad_norm, workers=workers)
            return TrainingEngine(ModelState(trainable, optimizer), step)
        case zo:
            groups = decay_groups(parameters, zo.weight_decay)
            zo_optimizer = build_zo_optimizer(zo, groups=groups, seed=cell.seed, steps_per_epoch=steps_per_epoch)
            zo_optimizer.trouble.in_jumps = zo.jumps
            if zo.batched:
                zo_optimizer.evaluator = Population(model) if zo_optimizer.has_factors else Batched(model)
            if isinstance(cell.engine, Ddp) and workers.world > 1:
                zo_optimizer.evaluator = distributed_evaluator(cell.engine, inner=zo_optimizer.evaluator)
            if not zo.jumps and zo.estimator != "forward_gradient":
                zo_optimizer.evaluator = pack_context.evaluator(zo_optimizer.evaluator)
            state = _logged(cell, trainable, zo_optimizer, log=log if workers.first else None)
            step = partial(zeroth_order_step, loss_fn=loss_fn, optimizer=zo_optimizer)
            return TrainingEngine(state, step, release=partial(_finish, state, zo_optimizer))


def distributed_evaluator(engine: Ddp, *, inner: Evaluator) -> Evaluator:
    """Return the evaluator that shares a zeroth-order step among workers; equal parts of the batch weigh the same."""
    kinds: dict[str, Callable[..., Evaluator]] = {"batch": DataParallel, "directions": DirectionParallel}
    return kinds[engine.share](_scalar_group(), inner=inner)


@cache
def _scalar_group() -> Any:
    """Return a gloo group for the losses: a few bytes on the CPU, which NCCL does not transport."""
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def _logged(cell: CellConfig, trainable: Mapping[str, nn.Parameter], optimizer: ZOSGD | ZerothOrder, *, log: Path | None) -> ModelState:
    if log is None:
        return ModelState(trainable, optimizer)
    writer = LogWriter(log, header={"cell_id": cell.cell_id}, rates=False)  # they follow from the cell
    optimizer.on_step = writer
    return ModelState(trainable, optimizer, writer.flush)


def _finish(state: ModelState, optimizer: ZOSGD | ZerothOrder) -> None:
    state.flush()
    optimizer.release()


def device_of(cell: CellConfig) -> torch.device:
    """Return the device of this worker. Raises ModelError when the engine asks for a GPU that is not there."""
    if cell.engine.gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ModelError(f"engine.gpus = {cell.engine.gpus:g}, and torch {torch.__version__} sees no CUDA device here; set it to 0 to compute on the CPU")
    return torch.device("cuda")
