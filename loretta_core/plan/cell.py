"""Facts of a cell before anything is loaded: how many parameters it trains, and whether its method works on its model at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loretta_core.config.cell import CellConfig
from loretta_core.config.checkpoints.local_files import find_checkpoint, read_config
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import FRESH_HEADS, ConversationTask, Glue, Intents, Jsonl, MultiLabel, TaskConfig, TokenClassification
from loretta_core.errors import MethodError
from loretta_core.plan.architectures.known import known_config, stored_names
from loretta_core.plan.architectures.layers import ModelLayers
from loretta_core.plan.architectures.model import LAYOUTS, model_layers, stored_tensors, with_token_head
from loretta_core.plan.params import trainable_parameters
from loretta_core.support import check_packing_supported, check_supported


@dataclass(frozen=True)
class CellPlan:
    """The facts of a cell that a dry run shows. A field is None where nothing can be said without loading the model."""

    trainable_params: int | None = None
    refusal: str | None = None
    """Why the cell cannot run."""


def plan_cell(cell: CellConfig) -> CellPlan:
    """Return how many parameters a cell trains, or why it cannot run.

    Reads config.json, and for a classification head the names of the stored tensors, where the model is on this machine; else the built-in table.
    """
    config = model_config(cell.model)
    if config is None:
        return CellPlan()
    head = cell.task.objective in FRESH_HEADS
    try:
        check_supported(cell.method.type, config=config, head=head)
        if isinstance(cell.task, ConversationTask) and cell.task.packing:
            check_packing_supported(config)
        labels = label_count(cell.task) if head else None
        found = None if head and labels is None else resolved_model(cell.model, labels=labels, of_tokens=cell.task.objective == "tokens")
        return CellPlan() if found is None else CellPlan(trainable_params=trainable_parameters(cell.method, found[1]) if cell.trainer.trains else 0)
    except MethodError as error:
        return CellPlan(refusal=str(error))


def model_config(model: ModelConfig) -> Mapping[str, Any] | None:
    """Return config.json of a model on this machine, else what the built-in table has of it, else None."""
    directory = find_checkpoint(model)
    return known_config(model.name) if directory is None else read_config(directory)


def resolved_model(model: ModelConfig, *, labels: int | None, of_tokens: bool = False) -> tuple[Mapping[str, Any], ModelLayers] | None:
    """Return config and layers with the head that a task needs (`labels`; None: the language-model head; `of_tokens`: on every token); None when they cannot be
    known."""
    directory, config = find_checkpoint(model), model_config(model)
    if config is None or config.get("model_type") not in LAYOUTS:
        return None
    if labels is None:
        return config, model_layers(config, labels=None)
    stored = stored_tensors(directory) if directory is not None else stored_names(model_layers(config, labels=labels))
    found = model_layers(config, labels=labels, stored=stored)
    return config, with_token_head(found, labels=labels) if of_tokens else found


def label_count(task: TaskConfig) -> int | None:
    """Return the width of the classification head, or None where labels are counted in the data."""
    if isinstance(task, Jsonl):
        return 1 if task.regression else len(task.labels) if task.labels is not None else None
    if isinstance(task, MultiLabel):
        return task.known_labels
    if isinstance(task, TokenClassification):
        return None if task.labels is None else len(task.labels)
    return task.outputs if isinstance(task, Glue | Intents) else 2
