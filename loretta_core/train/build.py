"""Builds the objects that `fit` needs from a CellConfig: the one place where config meets torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedTokenizerBase

from loretta_core.adapters.build import TaskType, apply_method, save_adapter
from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Served, Zero
from loretta_core.config.task import FRESH_HEADS, ConversationTask
from loretta_core.config.trainer import FirstOrderTrainer, InContext, NoTraining
from loretta_core.models import load_config, load_tokenizer
from loretta_core.quantized.formats import number_count
from loretta_core.support import check_packing_supported, check_supported
from loretta_core.tasks.answer_tree import can_branch
from loretta_core.tasks.base import Batch, Example, Objective, Writer
from loretta_core.tasks.build import build_objective
from loretta_core.tasks.chat.conversation import Conversation
from loretta_core.tasks.collate import Collator, training_batches
from loretta_core.tasks.data.mezo_prompts import with_demonstrations
from loretta_core.tasks.data.rows import TaskData
from loretta_core.tasks.data_cache import load_data_once
from loretta_core.tasks.formats.context import check_fits, positions_of
from loretta_core.tasks.formats.tuned_head import TunedHead, tuned_head
from loretta_core.tasks.token_cache import encode_once
from loretta_core.train.engines.plain import TrainingEngine, device_of, plain_engine
from loretta_core.train.evaluate import Evaluation, evaluate, mean_loss, metric_loss, reward_loss
from loretta_core.train.memory.activation_checkpointing import checkpoint_blocks
from loretta_core.train.memory.shared_base import base_model, unshare_trainable
from loretta_core.train.pack_context import SOLO, CellComputation, PackContext
from loretta_core.train.schedule import lr_setter
from loretta_core.train.served.evaluator import ScoresAnswers, served_evaluator
from loretta_core.train.step import LossFn
from loretta_core.train.workers import SINGLE_WORKER, Workers, seed_step
from loretta_core.zo.build import evaluations
from loretta_core.zo.optim import ZOSGD, ZerothOrder

_TASK_TYPES: dict[str, TaskType] = {"head": "SEQ_CLS", "tokens": "TOKEN_CLS", "prompt": "MASKED_LM", "causal": "CAUSAL_LM"}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "mixed": torch.bfloat16}

LOG_NAME = "replay.zolog"
"""The replay log of a zeroth-order cell, in its directory."""

SHARDS_NAME = "shards"
"""The sharded checkpoints of a `zero` cell, in its directory."""

EVALUATION_BATCH = 64
"""Rows per forward when scoring; a score does not depend on it beyond rounding."""


@dataclass(frozen=True)
class Run:
    """A built cell: everything is on its device and ready to train."""

    cell: CellConfig
    data: TaskData
    model: nn.Module
    objective: Objective
    collate: Collator
    examples: dict[str, Sequence[Example]]
    engine: TrainingEngine
    evaluated: nn.Module
    """The model to call for predictions."""
    trainable_params: int
    total_params: int
    set_lr: Callable[[int], float]
    total_steps: int
    workers: Workers

    def batches(self, first_step: int) -> Iterator[Sequence[Batch]]:
        """Yield this worker's part of each global batch from `first_step` on, in `gradient_accumulation` pieces."""
        engine, split = self.cell.engine, self.cell.engine.rows_in_parts > 1
        micro = self.cell.batch_size // (engine.rows_in_parts * engine.gradient_accumulation)
        rows = training_batches(self.examples["train"], batch_size=self.cell.batch_size, seed=self.cell.seed, start_step=first_step)
        for step, chosen in enumerate(rows, start=first_step):
            own = self.workers.part(chosen) if split else chosen
            if engine.type != "plain":
                seed_step(self.cell.seed, step=step, rank=self.workers.rank if split else 0)
            yield [self.collate(own[start : start + micro]) for start in range(0, len(own), micro)]

    def evaluate(self, split: str) -> Evaluation:
        """Score a split with the current weights."""
        sharded = self.cell.engine.sharded  # then every forward needs every worker: all compute the same
        return evaluate(
            self.evaluated,
            self.examples[split],
            objective=self.objective,
            collate=self.collate,
            batch_size=EVALUATION_BATCH,
            scorer=self.data.scorer,
            workers=SINGLE_WORKER if sharded else self.workers,
        )

    @property
    def identity(self) -> str:
        """Names the cell and its data: a checkpoint with another identity is not restored."""
        return _identity(self.cell, self.data)

    @property
    def weights_sha256(self) -> str | None:
        """Digest of the current weights of a zeroth-order run; None for others."""
        optimizer = self.engine.state.optimizer
        return optimizer.storage.sha256() if isinstance(optimizer, ZOSGD | ZerothOrder) else None

    def save(self, directory: Path) -> None:
        """Write the trained weights; call it once, after training. All workers take part, the first one writes."""
        if self.engine.export is not None:
            self.engine.export(directory)
        self.engine.release()
        if self.engine.export is None and self.workers.first:
            save_adapter(self.model, directory)

    def forwards(self, steps: int) -> int:
        """Return the forward passes of a global batch in so many steps: 1 per first-order step, 2 per direction and zeroth-order step."""
        trainer = self.cell.trainer
        if isinstance(trainer, FirstOrderTrainer | NoTraining | InContext):
            return steps
        return evaluations(trainer, steps=steps, steps_per_epoch=_steps_per_epoch(self.cell, self.data))


def build_run(cell: CellConfig, *, workers: Workers = SINGLE_WORKER, directory: Path | None = None, pack_context: PackContext = SOLO) -> Run:
    """Load the model and data of a cell, add its method and encode its rows. Raises ConfigError (data, model or method that cannot be used).

    Args:
        workers: the processes that share the cell, this one among them.
        directory: directory of the cell, for the replay log or the sharded checkpoints that it writes while it trains. None writes neither.
        pack_context: how it shares computation with other cells.

    Seeds torch's global generator with the cell's seed: it draws the new weights and, later, dropout.
    """
    torch.manual_seed(cell.seed)
    device, config = device_of(cell), load_config(cell.model)
    check_supported(cell.method.type, config=config, head=cell.task.objective in FRESH_HEADS)
    if isinstance(cell.task, ConversationTask) and cell.task.packing:
        check_packing_supported(config)
    tokenizer = load_tokenizer(cell.model)
    data = load_data_once(cell.task) if cell.score_test else load_data_once(cell.task).without_test()
    head = TunedHead()
    if cell.task.objective in FRESH_HEADS:
        head = tuned_head(config, data.label_names, of_tokens=cell.task.objective == "tokens")
    data = data.with_note(head.note)
    objective = build_objective(cell.task, tokenizer=tokenizer, num_labels=data.outputs, head_order=head.order)
    data = data.with_note(objective.note if isinstance(objective, Conversation) else "")
    examples = _encoded(cell, data, objective=objective, tokenizer=tokenizer)
    for split, encoded in examples.items():
        check_fits(encoded, positions=positions_of(config), split=split)
    model = _adapted(cell, outputs=data.outputs, fresh_head=head.fresh)
    if isinstance(objective, Conversation):
        objective.prepare(model, examples["train"])
    trainable = unshare_trainable(model)
    model.train(not cell.trainer.zeroth_order)  # dropout would put noise of its own between the two sides of a direction
    trainable_params = sum(parameter.numel() for parameter in trainable.values()) if cell.trainer.trains else 0
    total_params = sum(map(number_count, model.parameters()))  # before an engine shards them
    collate = Collator(tokenizer, device=device, trees=can_branch(model))
    if not cell.engine.sharded:
        model.to(device)
    if cell.engine.type == "plain":
        pack_context.join(CellComputation(model, trainable, objective, collate))
    engine, evaluated = _engine(cell, model, trainable, data=data, objective=objective, workers=workers, directory=directory, pack_context=pack_context)
    total_steps = cell.trainer.total_steps(rows=len(data.train), batch_size=cell.batch_size)
    return Run(
        cell=cell,
        data=data,
        model=model,
        objective=objective,
        collate=collate,
        examples=examples,
        engine=engine,
        evaluated=evaluated,
        trainable_params=trainable_params,
        total_params=total_params,
        set_lr=_no_lr if isinstance(cell.trainer, NoTraining | InContext) else lr_setter(engine.state.optimizer, trainer=cell.trainer, total_steps=total_steps),
        total_steps=total_steps,
        workers=workers,
    )


def _adapted(cell: CellConfig, *, outputs: int, fresh_head: bool) -> nn.Module:
    """Return the base model with the cell's method, in eval mode."""
    frozen = not cell.method.every_weight_trains and not cell.engine.sharded
    base = base_model(
        cell.model,
        objective=cell.task.objective,
        num_labels=outputs,
        dtype=DTYPES[cell.precision],
        seed=cell.seed,
        shared=frozen,
        fresh_head=fresh_head,
    )
    model = apply_method(base, method=cell.method, task_type=_TASK_TYPES[cell.task.objective], revision=cell.model.revision)
    checkpoint_blocks(base, every=cell.engine.activation_checkpointing)
    return model


def _encoded(cell: CellConfig, data: TaskData, *, objective: Objective, tokenizer: PreTrainedTokenizerBase) -> dict[str, Sequence[Example]]:
    """Encode every split that the cell may see; demonstrations are put before the prompts that are scored, not before those that are trained on."""
    shown = with_demonstrations(data, count=cell.trainer.demonstrations, seed=cell.seed) if isinstance(cell.trainer, InContext) else data
    return {
        split: encode_once(objective, rows, training=split == "train" and not cell.trainer.jumps, task=cell.task, tokenizer=tokenizer)
        for split, rows in (("train", data.train), ("validation", shown.validation), ("test", shown.test))
        if split != "test" or cell.score_test
    }


def _engine(
    cell: CellConfig,
    model: nn.Module,
    trainable: Mapping[str, nn.Parameter],
    *,
    data: TaskData,
    objective: Objective,
    workers: Workers,
    directory: Path | None,
    pack_context: PackContext,
) -> tuple[TrainingEngine, nn.Module]:
    """Return the training engine of a cell, and the model that it evaluates. A sharded model is moved to its devices here."""
    if isinstance(cell.engine, Zero):
        from loretta_core.train.engines.zero import zero_engine  # needs the extra `deepspeed`

        assert directory is not None, "a sharded run has checkpoints"
        loss_of = partial(_loss_of, objective=objective)
        return zero_engine(cell, model, loss_of=loss_of, workers=workers, shards=directory / SHARDS_NAME, identity=_identity(cell, data))
    loss_fn = _lowered(cell, data, model=model, objective=objective)
    log = directory and directory / LOG_NAME
    steps = _steps_per_epoch(cell, data)
    engine = plain_engine(cell, trainable, model=model, loss_fn=loss_fn, steps_per_epoch=steps, workers=workers, pack_context=pack_context, log=log)
    if isinstance(cell.engine, Served):
        assert isinstance(objective, ScoresAnswers), "the config asks for a decoder"
        assert isinstance(model, PeftModel), "the config asks for LoRA"
        engine.state.optimizer.evaluator = served_evaluator(cell.engine, model=model, objective=objective)
    return engine, model


def _lowered(cell: CellConfig, data: TaskData, *, model: nn.Module, objective: Objective) -> LossFn:
    """Return what the trainer lowers: the task's loss, or 1 − its metric or reward."""
    if cell.trainer.rewarded:
        assert isinstance(objective, Writer), "the config asks for a task with written answers"
        return partial(reward_loss, model=model, writer=objective, scorer=data.scorer)
    return partial(metric_loss, model=model, objective=objective, scorer=data.scorer) if cell.trainer.jumps else _loss_of(model, objective=objective)


def _loss_of(model: nn.Module, *, objective: Objective) -> LossFn:
    return partial(mean_loss, model=model, objective=objective)


def _identity(cell: CellConfig, data: TaskData) -> str:
    """Name the cell and its data, as its checkpoints do."""
    return f"{cell.cell_id} {data.inputs_sha256}"


def _no_lr(step: int) -> float:
    return 0.0


def _steps_per_epoch(cell: CellConfig, data: TaskData) -> int:
    return max(1, math.ceil(len(data.train) / cell.batch_size))
