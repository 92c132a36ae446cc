"""The shapes of a cell's model and method, looked up once for all cells that share them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pydantic import TypeAdapter

from loretta_core.config.cell import CellConfig
from loretta_core.config.method import MethodConfig
from loretta_core.config.model import Pretrained
from loretta_core.config.task import FRESH_HEADS
from loretta_core.plan.architectures.blocks import NOT_ONE_BLOCK, Block, block_of, sites_of
from loretta_core.plan.architectures.layers import ModelLayers
from loretta_core.plan.architectures.model import NOT_TEXT
from loretta_core.plan.cell import label_count, model_config, resolved_model
from loretta_core.plan.lengths import longest_row
from loretta_core.plan.params import trainable_parameters
from loretta_core.plan.workload import Shapes

_METHOD: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)


@dataclass(frozen=True)
class Sized:
    """A cell with the shapes of its model, which do not depend on where it runs."""

    cell: CellConfig
    shapes: Shapes
    tokens: int
    """Tokens of the longest training row."""
    evaluation_tokens: int
    """Tokens of the longest row that is scored."""


def size(cell: CellConfig, *, tokens: int | None = None, evaluation_tokens: int | None = None) -> Sized | None:
    """Return the cell with its shapes, or None when its model cannot be counted. `tokens` of the longest row: None takes what is usual for the task."""
    shapes = _shapes(cell)
    if shapes is None:
        return None
    longest = longest_row(cell.task)
    return Sized(cell, shapes, tokens or longest, evaluation_tokens or tokens or longest)


def why_unsized(cell: CellConfig) -> str | None:
    """Return in one line why memory and time of a cell cannot be predicted although its model is at hand, or None."""
    config = model_config(cell.model)
    model_type = str((config or {}).get("model_type"))
    if model_type in NOT_ONE_BLOCK:
        return f"{model_type} is {NOT_ONE_BLOCK[model_type]}: its parameters are counted, its memory and time are not predicted"
    if model_type in NOT_TEXT:
        return f"{model_type} reads {NOT_TEXT[model_type]}, and only models of text are planned"
    return None


def _shapes(cell: CellConfig) -> Shapes | None:
    labels = label_count(cell.task) if cell.task.objective in FRESH_HEADS else None
    if cell.task.objective in FRESH_HEADS and labels is None:
        labels = 2  # counted in the data; a few rows of a head weigh nothing
    return _looked_up(cell.model.model_dump_json(), labels, cell.task.objective == "tokens", cell.method.model_dump_json())


@lru_cache(maxsize=1024)
def _looked_up(model_json: str, labels: int | None, of_tokens: bool, method_json: str) -> Shapes | None:
    found = _model(model_json, labels, of_tokens)
    method: MethodConfig = _METHOD.validate_json(method_json)
    trainable = None if found is None else trainable_parameters(method, found[0])
    return None if found is None or trainable is None else Shapes(found[1], trainable, sites_of(method, found[1], found[0]))


@lru_cache(maxsize=256)
def _model(model_json: str, labels: int | None, of_tokens: bool) -> tuple[ModelLayers, Block] | None:
    found = resolved_model(Pretrained.model_validate_json(model_json), labels=labels, of_tokens=of_tokens)
    if found is None:
        return None
    config, model = found
    block = block_of(config, model)
    return None if block is None else (model, block)
