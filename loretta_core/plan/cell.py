"""What is known of a cell before anything is loaded: how many parameters it trains, and whether its method works on its model at all."""

from __future__ import annotations

from dataclasses import dataclass

from loretta_core.config.cell import CellConfig
from loretta_core.config.task import Glue, Jsonl, TaskConfig
from loretta_core.errors import MethodError
from loretta_core.plan.checkpoint import find_checkpoint, read_config
from loretta_core.plan.model import LAYOUTS, model_layers, stored_tensors
from loretta_core.plan.params import trainable_parameters
from loretta_core.support import check_supported


@dataclass(frozen=True)
class CellPlan:
    """Every field is None where nothing can be said without loading the model."""

    trainable_params: int | None = None
    refusal: str | None = None
    """Why the cell cannot run."""


def plan_cell(cell: CellConfig) -> CellPlan:
    """Reads config.json, and for a classification head the names of the stored tensors, where the model is at hand on this machine."""
    directory = find_checkpoint(cell.model)
    if directory is None:
        return CellPlan()
    config = read_config(directory)
    head = cell.task.objective == "head"
    try:
        check_supported(cell.method.type, config=config, head=head)
        if config.get("model_type") not in LAYOUTS or (head and label_count(cell.task) is None):
            return CellPlan()
        layers = model_layers(config, labels=label_count(cell.task) if head else None, stored=stored_tensors(directory) if head else None)
        return CellPlan(trainable_params=trainable_parameters(cell.method, layers))
    except MethodError as error:
        return CellPlan(refusal=str(error))


def label_count(task: TaskConfig) -> int | None:
    """Labels that are counted in the data are not known before it is read."""
    if isinstance(task, Jsonl):
        return 1 if task.regression else len(task.labels) if task.labels is not None else None
    return task.outputs if isinstance(task, Glue) else 2
