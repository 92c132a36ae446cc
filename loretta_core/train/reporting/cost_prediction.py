"""The planner's prediction of a run's memory and time, made when its rows are known: recorded beside the measured values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from loretta_core.config.engine import Auto
from loretta_core.config.task import ConversationTask
from loretta_core.plan.devices import Device, Devices, device_named, this_cpu
from loretta_core.plan.placement.engine_options import try_engine
from loretta_core.plan.sizing import size
from loretta_core.tasks.base import token_counts
from loretta_core.tasks.chat.packing import MOST_WASTE
from loretta_core.train.build import Run


@dataclass(frozen=True)
class CostPrediction:
    """Predicted peak memory and step time; each is None where the planner does not know the model or the device."""

    peak_bytes: int | None = None
    step_s: float | None = None


def predict_cost(run: Run, *, resident_bytes: int) -> CostPrediction:
    """Predict peak memory as it is measured (a CPU: with the `resident_bytes` of the process before the model) and the time of a step."""
    device = _device(run.collate.device)
    engine = run.cell.engine
    if isinstance(engine, Auto):
        return CostPrediction()
    tokens = {split: max(token_counts(examples), default=1) for split, examples in run.examples.items()}
    sized = size(run.cell, tokens=_packed_tokens(run) or tokens["train"], evaluation_tokens=tokens.get("test", tokens["validation"]))
    if sized is None:
        return CostPrediction()
    known = device or this_cpu()  # memory does not depend on which GPU it is
    option = try_engine(sized, engine, Devices(known, engine.workers))
    before = resident_bytes if run.collate.device.type == "cpu" else 0
    return CostPrediction(before + option.memory.peak, option.cost.step_s if device else None)


def _packed_tokens(run: Run) -> int | None:
    """Return the tokens of a row in the longest batch, on average, where rows are packed: little is computed beside them. None where they are padded."""
    task, engine = run.cell.task, run.cell.engine
    if not isinstance(task, ConversationTask) or not task.packing:
        return None
    rows = run.cell.batch_size // (engine.rows_in_parts * engine.gradient_accumulation)
    longest = sorted(len(example.inputs["input_ids"]) for example in run.examples["train"])[-rows:]
    return math.ceil((1 + MOST_WASTE) * sum(longest) / len(longest))


def _device(device: torch.device) -> Device | None:
    return this_cpu(cores=torch.get_num_threads()) if device.type == "cpu" else device_named(torch.cuda.get_device_name(device))
