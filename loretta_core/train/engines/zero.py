"""The engine that shards training state over workers: DeepSpeed ZeRO (arXiv 1910.02054; offload: 2101.06840, 2104.07857). Only this module imports deepspeed.

    stage 1   each worker keeps 1/N of the optimizer state        stage 2   and of the gradients        stage 3   and of the weights

AdamW is torch's own; with offload DeepSpeed's CPU kernel, which is compiled at first use (g++, ninja; a minute or two). The numbers are those of one worker up
to rounding: clipping sees the global norm, the loss is the mean over all rows. Under stage 3 a parameter outside `gathered` is an empty tensor; nothing here
hands one out. Checkpoints are in `zero_shards.py`.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import PreTrainedModel

from loretta_core.adapters.build import save_adapter
from loretta_core.adapters.full import WEIGHTS
from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Zero
from loretta_core.config.trainer import Adam
from loretta_core.tasks.base import Batch
from loretta_core.train.engines.optimizers import decay_groups
from loretta_core.train.engines.plain import TrainingEngine
from loretta_core.train.engines.zero_requirements import check_zero
from loretta_core.train.engines.zero_shards import ShardedCheckpointer
from loretta_core.train.step import LossFn
from loretta_core.train.workers import Workers


@dataclass(frozen=True)
class ZeroState:
    """The trainable weights of sharded workers; they are copied whole, to the first worker.

    Args:
        trainable: parameters by name.
        optimizer: DeepSpeed's optimizer, whose groups carry the learning rate.
        workers: the workers of the cell.
        sharded: True under stage 3, where a worker holds a shard of each parameter only.
    """

    trainable: Mapping[str, nn.Parameter]
    optimizer: Any
    workers: Workers
    sharded: bool

    def copy_trainable(self) -> dict[str, Tensor]:
        """Return a copy in host memory on the first worker, gathered one parameter at a time; empty on the others."""
        return gather_to_first(self.trainable, workers=self.workers, sharded=self.sharded)

    @torch.no_grad()
    def load_trainable(self, values: Mapping[str, Tensor]) -> None:
        """Write the first worker's `values` into the parameters of all. The optimizer's master copies stay: use it at the end of training."""
        for name, parameter in self.trainable.items():
            if self.sharded:
                with _gathered([parameter], write=True):
                    if self.workers.first:
                        parameter.copy_(values[name])
            else:
                if self.workers.first:
                    parameter.copy_(values[name])
                self.workers.broadcast_from_first([parameter])


def zero_engine(
    cell: CellConfig, model: nn.Module, *, loss_of: Callable[[nn.Module], LossFn], workers: Workers, shards: Path, identity: str
) -> tuple[TrainingEngine, nn.Module]:
    """Return the training engine of a `zero` cell, and the model to evaluate with.

    Args:
        model: on the CPU, the same on all workers.
        loss_of: model → loss of a batch.
        shards: directory of the cell's sharded checkpoints; if one is found, the engine resumes from it.
        identity: names the cell and its data; checkpoints with another identity are ignored.
    """
    placement, _ = _parts(cell)
    check_zero(placement)
    _silence_deepspeed(cpu=placement.gpus == 0)
    checkpointer = ShardedCheckpointer(shards, identity=identity, stage=placement.stage, precision=cell.precision, workers=workers)
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    engine = _initialize(cell, model, list(trainable.values()), workers=workers, universal=checkpointer.other_world)
    checkpointer.attach(engine)
    state = ZeroState(trainable, engine.optimizer, workers, sharded=placement.sharded)
    step = partial(_step, engine=engine, loss_fn=loss_of(model), workers=workers)
    export = partial(_export, model=model, state=state)
    return TrainingEngine(state=state, step=step, checkpointer=checkpointer, export=export, release=engine.destroy), model


def _step(batches: Sequence[Batch], *, engine: Any, loss_fn: LossFn, workers: Workers) -> float:
    """Back-propagate each piece; DeepSpeed reduces, clips and steps after the last."""
    total = 0.0
    for batch in batches:
        loss = loss_fn(batch)
        engine.backward(loss)
        engine.step()
        total += loss.item() / len(batches)
    return workers.sum(total, device=engine.device) / workers.world


def _initialize(cell: CellConfig, model: nn.Module, parameters: Sequence[nn.Parameter], *, workers: Workers, universal: bool) -> Any:
    import deepspeed

    # Compiled at every start on a CPU and used only by DeepSpeed's own launcher.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    _process_group(workers)
    placement, adam = _parts(cell)
    groups = decay_groups(parameters, adam.weight_decay)
    if placement.offload == "none":
        optimizer: Any = AdamW(groups, lr=adam.lr)
    else:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        optimizer = DeepSpeedCPUAdam(groups, lr=adam.lr, adamw_mode=True, fp32_optimizer_states=cell.precision != "bf16")
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings(cell, universal=universal))
    return engine


def settings(cell: CellConfig, *, universal: bool = False) -> dict[str, Any]:
    """Return DeepSpeed's configuration for a cell. `universal`: load a checkpoint that another number of workers wrote."""
    engine, trainer = _parts(cell)
    zero: dict[str, Any] = {"stage": engine.stage, "overlap_comm": engine.gpus > 0, "contiguous_gradients": True}
    if engine.offload != "none":
        place = {"device": engine.offload, "pin_memory": engine.gpus > 0} | ({"nvme_path": engine.nvme_path} if engine.nvme_path else {})
        zero["offload_optimizer"] = place
        if engine.stage == 3:
            zero["offload_param"] = place
    half = {"enabled": cell.precision != "fp32", "check_grad_overflow": False}  # our loop stops at the first loss that is not finite
    if cell.precision == "bf16":
        half |= {"bf16_master_weights_and_grads": True, "bf16_optimizer_states": True}
    return {
        "train_batch_size": cell.batch_size,
        "train_micro_batch_size_per_gpu": cell.batch_size // (engine.workers * engine.gradient_accumulation),
        "gradient_accumulation_steps": engine.gradient_accumulation,
        "gradient_clipping": trainer.max_grad_norm or 0.0,
        "zero_optimization": zero,
        "zero_allow_untrusted_optimizer": True,
        "bf16": half,
        "checkpoint": {"load_universal": universal},
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }


def _parts(cell: CellConfig) -> tuple[Zero, Adam]:
    assert isinstance(cell.engine, Zero), "another engine's cell"
    assert isinstance(cell.trainer, Adam), "CellConfig refuses every other trainer"
    return cell.engine, cell.trainer


def gather_to_first(parameters: Mapping[str, Tensor], *, workers: Workers, sharded: bool) -> dict[str, Tensor]:
    """Return whole parameters in host memory on the first worker; empty on the others. All workers take part."""
    found = {}
    for name, parameter in parameters.items():
        with _gathered([parameter] if sharded else []):
            if workers.first:
                found[name] = parameter.detach().to("cpu", copy=True)
    return found


def _export(directory: Path, *, model: nn.Module, state: ZeroState) -> None:
    """Write one consolidated safetensors model (or adapter) that `from_pretrained` reads. All workers take part, the first one writes."""
    if isinstance(model, PeftModel):
        with _gathered(list(state.trainable.values()) if state.sharded else []):
            if state.workers.first:
                save_adapter(model, directory)
        return
    whole = gather_to_first(dict(model.named_parameters()), workers=state.workers, sharded=state.sharded)  # a tied weight comes once
    if state.workers.first:
        directory.mkdir(parents=True, exist_ok=True)
        assert isinstance(model, PreTrainedModel), "ft trains the model itself"
        model.config.save_pretrained(directory)
        save_file({name: tensor.contiguous() for name, tensor in whole.items()}, directory / WEIGHTS, metadata={"format": "pt"})


def _gathered(parameters: Sequence[Tensor], *, write: bool = False) -> Any:
    """Return a context in which the parameters are whole; with `write`, the first worker's changes are broadcast."""
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(parameters), modifier_rank=0 if write else None, enabled=bool(parameters))


def _process_group(workers: Workers) -> None:
    """Initialise a process group and its environment variables, which DeepSpeed needs also for a single worker."""
    os.environ.setdefault("RANK", str(workers.rank))
    os.environ.setdefault("WORLD_SIZE", str(workers.world))
    os.environ.setdefault("LOCAL_RANK", "0")
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)


def _silence_deepspeed(*, cpu: bool) -> None:
    """Set the accelerator and silence warnings; must be called before deepspeed is imported."""
    if cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"deepspeed|torch")
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
