"""Checks before anything starts: what cells read and compute with must be there, such as a checkpoint's weights, a task file's columns, DeepSpeed.

Needs neither torch nor Ray, so that a refusal takes a moment and leaves nothing behind. The workers check again: files can change, and whether a hub id can be
fetched shows only where it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable

from loretta_core.config import CellConfig
from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.checkpoints.quantized import check_optimizer, check_quantization
from loretta_core.config.engine import Auto, Zero
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import Chat, Decoder, Glue, Instruct, Intents, Jsonl, Maths, Mmlu, MultiLabel, MultipleChoice, TaskConfig, TokenClassification
from loretta_core.plan.devices import parse_devices
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.data.conversations.load import load_conversations
from loretta_core.tasks.data.jsonl import load_jsonl
from loretta_core.tasks.data.labelled.multi_label import load_multi_label
from loretta_core.tasks.data.labelled.multiple_choice import load_multiple_choice
from loretta_core.tasks.data.labelled.token_classification import load_token_classification
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.splits import load_benchmark
from loretta_core.train.engines.zero_requirements import check_zero


def check_inputs(cells: Iterable[CellConfig]) -> None:
    """Check every model, task and engine of the cells once. Raises ConfigError (ModelError, DataError) for the first that cannot be used."""
    cells = list(cells)
    models: dict[str, ModelConfig] = {}
    tasks: dict[str, TaskConfig] = {}
    for cell in cells:
        models[cell.model.model_dump_json()] = cell.model
        tasks[cell.task.model_dump_json()] = cell.task
    for engine in {cell.engine for cell in cells if isinstance(cell.engine, Zero)}:
        check_zero(engine)
    for cell in cells:
        if isinstance(cell.engine, Auto) and cell.engine.device is not None:
            parse_devices(cell.engine.device)
    for cell in cells:
        check_optimizer(cell.trainer)
    for model in models.values():
        locate(model)
        check_quantization(model)
    for task in tasks.values():
        _check_task(task)


def _check_task(task: TaskConfig) -> None:
    """Read the files of a task; of one from the hub, check its metric alone."""
    match task:
        case Jsonl():
            load_jsonl(task)
        case Instruct() | Chat():
            load_conversations(task)
        case MultipleChoice():
            load_multiple_choice(task)
        case MultiLabel():
            load_multi_label(task)
        case TokenClassification():
            load_token_classification(task)
        case Glue() | Decoder() | Maths() | Mmlu() | Intents() if task.path is not None:
            load_benchmark(task)
        case Glue() | Decoder() | Maths() | Mmlu() | Intents():
            scorer_of(task, BENCHMARKS[task.type].labels)
