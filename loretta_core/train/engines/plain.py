"""One device, or several workers that each hold the whole model (data parallel).

first order     every worker back-propagates its rows; gradients are summed over the workers before clipping and stepping
zeroth order    workers exchange losses only (`zo/distributed.py`): of their rows, or of their directions on the whole batch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Ddp
from loretta_core.config.trainer import Adam, InContext, NoTraining
from loretta_core.errors import ModelError
from loretta_core.train.checkpoint import Checkpointer, ModelState, TrainingState
from loretta_core.train.engines.mixed_adamw import MixedAdamW
from loretta_core.train.pack_context import SOLO, Backward, PackContext
from loretta_core.train.step import LossFn, Step, back_propagate, first_order_step, zeroth_order_step
from loretta_core.train.workers import Workers
from loretta_core.zo.build import build_optimizer
from loretta_core.zo.distributed import DataParallel, DirectionParallel
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import LogWriter
from loretta_core.zo.variants import Batched, Evaluator


@dataclass(frozen=True)
class TrainingEngine:
    """What changes the weights."""

    state: TrainingState
    step: Step
    checkpointer: Checkpointer | None = None
    """How its state is kept, where one file of it is not enough."""
    export: Callable[[Path], None] | None = None
    """How the trained weights are written, where no process holds them all."""
    release: Callable[[], None] = lambda: None
    """End of training: the parameters stop being views of a buffer, so that the model can be saved; hooks are gone."""


def plain_engine(
    cell: CellConfig,
    trainable: Mapping[str, nn.Parameter],
    *,
    model: nn.Module,
    loss_fn: LossFn,
    steps_per_epoch: int,
    workers: Workers,
    seat: PackContext = SOLO,
    log: Path | None = None,
) -> TrainingEngine:
    """The optimizer of a cell over its trainable parameters, which all workers start from equally.

    Args:
        model: what `loss_fn` calls.
        loss_fn: of this worker's rows.
        seat: where the cell is computed. It computes what torch.func can differentiate or batch: not a `loss_fn` of predictions.
        log: where the first worker of a zeroth-order cell keeps the replay log.
    """
    parameters = list(trainable.values())
    workers.copy_from_first(parameters)
    match cell.trainer:
        case NoTraining() | InContext():
            optimizer: Optimizer = SGD(parameters, lr=0.0)
            backward: Backward = partial(back_propagate, loss_fn=loss_fn)
            return TrainingEngine(ModelState(trainable, optimizer), partial(first_order_step, backward=backward, optimizer=optimizer, max_grad_norm=None))
        case Adam() as adam:
            optimizer = adam_over(parameters, trainer=adam, masters=cell.precision == "mixed" and cell.method.every_weight_trains)
            backward = seat.backward(partial(back_propagate, loss_fn=loss_fn, world=workers.world))
            step = partial(first_order_step, backward=backward, optimizer=optimizer, max_grad_norm=adam.max_grad_norm, workers=workers)
            return TrainingEngine(ModelState(trainable, optimizer), step)
        case zo:
            groups = decay_groups(parameters, zo.weight_decay)
            zo_optimizer = build_optimizer(zo, groups=groups, seed=cell.seed, steps_per_epoch=steps_per_epoch)
            if zo.batched:
                zo_optimizer.evaluator = Batched(model)
            if isinstance(cell.engine, Ddp) and workers.world > 1:
                zo_optimizer.evaluator = shared_evaluator(cell.engine, inner=zo_optimizer.evaluator)
            if not zo.jumps and zo.estimator != "forward_gradient":
                zo_optimizer.evaluator = seat.evaluator(zo_optimizer.evaluator)
            state = _logged(cell, trainable, zo_optimizer, log=log if workers.first else None)
            step = partial(zeroth_order_step, loss_fn=loss_fn, optimizer=zo_optimizer)
            return TrainingEngine(state, step, release=partial(_end, state, zo_optimizer))


def adam_over(parameters: Sequence[nn.Parameter], *, trainer: Adam, masters: bool) -> Optimizer:
    """AdamW as a trainer config says; `masters` keeps fp32 copies of the weights and fp32 moments."""
    groups = decay_groups(parameters, trainer.weight_decay)
    return MixedAdamW(groups, lr=trainer.lr) if masters else AdamW(groups, lr=trainer.lr)


def decay_groups(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Biases and norm weights (one dimension) are never decayed."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def shared_evaluator(engine: Ddp, *, inner: Evaluator) -> Evaluator:
    """How the workers of a zeroth-order cell evaluate a step together; equal parts of the batch weigh the same."""
    kinds: dict[str, Callable[..., Evaluator]] = {"batch": DataParallel, "directions": DirectionParallel}
    return kinds[engine.share](_scalar_group(), inner=inner)


@cache
def _scalar_group() -> Any:
    """The losses are a few bytes on the CPU, which NCCL does not carry."""
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def _logged(cell: CellConfig, trainable: Mapping[str, nn.Parameter], optimizer: ZOSGD | ZerothOrder, *, log: Path | None) -> ModelState:
    if log is None:
        return ModelState(trainable, optimizer)
    writer = LogWriter(log, header={"cell_id": cell.cell_id, "initial_sha256": optimizer.storage.sha256(), "parameters": len(optimizer.storage)})
    optimizer.on_step = writer
    return ModelState(trainable, optimizer, writer.flush)


def _end(state: ModelState, optimizer: ZOSGD | ZerothOrder) -> None:
    state.flush()
    optimizer.release()


def device_of(cell: CellConfig) -> torch.device:
    """Where this worker computes. Raises ModelError when the engine asks for a GPU that is not there."""
    if cell.engine.gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ModelError(f"engine.gpus = {cell.engine.gpus:g}, and torch {torch.__version__} sees no CUDA device here; set it to 0 to compute on the CPU")
    return torch.device("cuda")
