"""CellConfig → the objects that `fit` needs. The one place where config meets torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from loretta_core.adapters.build import TaskType, apply_method
from loretta_core.config.cell import CellConfig
from loretta_core.config.trainer import Adam, InContext, NoTraining
from loretta_core.errors import ModelError
from loretta_core.models import load_config, load_model, load_tokenizer
from loretta_core.support import check_supported
from loretta_core.tasks.base import Batch, Example, Objective
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.causal import with_demonstrations
from loretta_core.tasks.collate import Collator, training_batches
from loretta_core.tasks.context import check_fits, positions_of
from loretta_core.tasks.rows import TaskData
from loretta_core.tasks.token_cache import encode_once
from loretta_core.train.checkpoint import TrainState
from loretta_core.train.evaluate import Evaluation, evaluate, mean_loss
from loretta_core.train.schedule import lr_setter
from loretta_core.train.step import Step, first_order_step, zeroth_order_step
from loretta_core.zo.build import build_optimizer, evaluations
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay import LogWriter, weights_sha256

_TASK_TYPES: dict[str, TaskType] = {"head": "SEQ_CLS", "prompt": "MASKED_LM", "causal": "CAUSAL_LM"}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

EVALUATION_BATCH = 64
"""Rows per forward when scoring; a score does not depend on it beyond rounding."""


@dataclass(frozen=True)
class Run:
    """A cell, built: everything is on its device and ready to train."""

    cell: CellConfig
    data: TaskData
    model: nn.Module
    objective: Objective
    collate: Collator
    examples: dict[str, list[Example]]
    state: TrainState
    step: Step
    set_lr: Callable[[int], float]
    total_steps: int

    def batches(self, first_step: int) -> Iterator[Sequence[Batch]]:
        """Global batches from `first_step` on, each in `gradient_accumulation` pieces."""
        pieces = self.cell.engine.gradient_accumulation
        micro = self.cell.batch_size // pieces
        for chosen in training_batches(self.examples["train"], batch_size=self.cell.batch_size, seed=self.cell.seed, start_step=first_step):
            yield [self.collate(chosen[start : start + micro]) for start in range(0, len(chosen), micro)]

    def evaluate(self, split: str) -> Evaluation:
        """Score a split with the current weights."""
        return evaluate(self.model, self.examples[split], objective=self.objective, collate=self.collate, batch_size=EVALUATION_BATCH, metric=self.data.metric)

    @property
    def weights_sha256(self) -> str | None:
        """Digest of the current weights of a zeroth-order run."""
        optimizer = self.state.optimizer
        return weights_sha256(optimizer.theta) if isinstance(optimizer, ZOSGD | ZerothOrder) else None

    def release(self) -> None:
        """End of training: the parameters stop being views of an optimizer's buffer, so that the model can be saved."""
        if isinstance(self.state.optimizer, ZOSGD | ZerothOrder):
            self.state.optimizer.release()

    @property
    def forwards(self) -> int:
        """Forward passes of a global batch over the whole run: 1 per first-order step, 2 per direction and zeroth-order step."""
        trainer = self.cell.trainer
        if isinstance(trainer, Adam | NoTraining | InContext):
            return self.total_steps
        return evaluations(trainer, steps=self.total_steps, steps_per_epoch=_steps_per_epoch(self.cell, self.data))


def build_run(cell: CellConfig, *, log: Path | None = None) -> Run:
    """Load, inject, encode. Raises ConfigError (data, model or method that cannot be used).

    Args:
        log: where a zeroth-order run keeps its replay log.

    Seeds torch's global generator with the cell's seed: it draws the new weights and, later, dropout.
    """
    torch.manual_seed(cell.seed)
    device = _device(cell)
    config = load_config(cell.model)
    check_supported(cell.method.type, config=config, head=cell.task.objective == "head")
    data = load_data(cell.task)
    shown = with_demonstrations(data, count=cell.trainer.demonstrations, seed=cell.seed) if isinstance(cell.trainer, InContext) else data
    tokenizer = load_tokenizer(cell.model)
    objective = build_objective(cell.task, tokenizer=tokenizer, num_labels=data.outputs)
    examples = {
        split: encode_once(objective, rows, training=split == "train", task=cell.task, tokenizer=tokenizer)
        for split, rows in (("train", data.train), ("validation", shown.validation), ("test", shown.test))
    }
    for split, encoded in examples.items():
        check_fits(encoded, positions=positions_of(config), split=split)
    base = load_model(cell.model, objective=cell.task.objective, num_labels=data.outputs, dtype=_DTYPES[cell.precision])
    model = apply_method(base, method=cell.method, task_type=_TASK_TYPES[cell.task.objective]).to(device)
    model.train(not cell.trainer.zeroth_order)  # dropout would put noise of its own between the two sides of a direction
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    loss_fn = partial(mean_loss, model=model, objective=objective)
    optimizer, step = _optimizer(cell, list(trainable.values()), loss_fn=loss_fn, steps_per_epoch=_steps_per_epoch(cell, data))
    total_steps = cell.trainer.total_steps(rows=len(data.train), batch_size=cell.batch_size)
    return Run(
        cell=cell,
        data=data,
        model=model,
        objective=objective,
        collate=Collator(tokenizer, device=device),
        examples=examples,
        state=_state(cell, trainable, optimizer, log=log),
        step=step,
        set_lr=_no_lr if isinstance(cell.trainer, NoTraining | InContext) else lr_setter(optimizer, trainer=cell.trainer, total_steps=total_steps),
        total_steps=total_steps,
    )


def _optimizer(cell: CellConfig, parameters: list[nn.Parameter], *, loss_fn: Callable[[Batch], torch.Tensor], steps_per_epoch: int) -> tuple[Optimizer, Step]:
    match cell.trainer:
        case NoTraining() | InContext():
            optimizer = SGD(parameters, lr=0.0)
            return optimizer, partial(first_order_step, loss_fn=loss_fn, optimizer=optimizer, max_grad_norm=None)
        case Adam() as adam:
            optimizer = AdamW(_decay_groups(parameters, adam.weight_decay), lr=adam.lr)
            return optimizer, partial(first_order_step, loss_fn=loss_fn, optimizer=optimizer, max_grad_norm=adam.max_grad_norm)
        case zo:
            groups = _decay_groups(parameters, zo.weight_decay)
            zo_optimizer = build_optimizer(zo, groups=groups, seed=cell.seed, steps_per_epoch=steps_per_epoch)
            return zo_optimizer, partial(zeroth_order_step, loss_fn=loss_fn, optimizer=zo_optimizer)


def _no_lr(step: int) -> float:
    return 0.0


def _state(cell: CellConfig, trainable: dict[str, nn.Parameter], optimizer: Optimizer, *, log: Path | None) -> TrainState:
    if log is None or not isinstance(optimizer, ZOSGD | ZerothOrder):
        return TrainState(trainable, optimizer)
    writer = LogWriter(log, header={"cell_id": cell.cell_id, "initial_sha256": weights_sha256(optimizer.theta), "parameters": optimizer.theta.numel()})
    optimizer.on_step = writer
    return TrainState(trainable, optimizer, writer.flush)


def _steps_per_epoch(cell: CellConfig, data: TaskData) -> int:
    return max(1, math.ceil(len(data.train) / cell.batch_size))


def _decay_groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Biases and norm weights (one dimension) are never decayed."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _device(cell: CellConfig) -> torch.device:
    if cell.engine.gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ModelError(f"engine.gpus = {cell.engine.gpus:g}, and torch {torch.__version__} sees no CUDA device here; set it to 0 to compute on the CPU")
    return torch.device("cuda")
