"""Code for users of a trained cell, ready to paste: the Python that loads its weights, and the command that computes it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from loretta_core.config import CellConfig
from loretta_core.config.model import TOY_MODELS
from loretta_core.config.task import FRESH_HEADS, Glue, Intents, Jsonl, MultiLabel, TokenClassification
from loretta_core.store.adapter_card import loading_snippet

_AUTO_CLASSES = {
    "prompt": "AutoModelForMaskedLM",
    "head": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "causal": "AutoModelForCausalLM",
}


def loading_code(cell: CellConfig, *, adapter: PurePath, as_lora: bool = False) -> str:
    """Return Python that ends with the tuned model in `model`: the snippet that README recommends. `as_lora`: the adapter is one of LoRA."""
    auto = _AUTO_CLASSES[cell.task.objective]
    if cell.method.every_weight_trains:  # an ordinary checkpoint
        return merged_code(cell, directory=adapter)
    shipped = cell.model.name in TOY_MODELS
    source = f'f"{{loretta_core.__path__[0]}}/assets/{cell.model.name}"' if shipped else repr(cell.model.name)
    revision = f", revision={cell.model.revision!r}" if cell.model.revision else ""
    return loading_snippet(auto=auto, arguments=source + revision + _num_labels(cell), directory=str(adapter), registers=shipped or not as_lora)


def merged_code(cell: CellConfig, *, directory: PurePath) -> str:
    """Return Python that loads a whole model: fully fine-tuned, or with the adapter merged into it."""
    auto = _AUTO_CLASSES[cell.task.objective]
    return f"from transformers import {auto}\n\nmodel = {auto}.from_pretrained({str(directory)!r})"


def known_outputs(cell: CellConfig) -> int | None:
    """Return the width of the classification head as the cell says it; None for labels that were found in the data."""
    match cell.task:
        case Glue() | Intents():
            return cell.task.outputs
        case Jsonl(regression=True):
            return 1
        case MultiLabel():
            return cell.task.known_labels
        case TokenClassification():
            return None if cell.task.labels is None else len(cell.task.labels)
        case Jsonl(labels=list(labels)):
            return len(labels)
        case Jsonl():
            return None
        case _:
            return 2


def reproduce_command(cell: CellConfig, *, out: str = "outputs") -> str:
    """Return `loretta run …` with every setting that differs from its default: typed in a shell, it computes a cell of the same id."""
    settings = cell.model_dump(mode="json", exclude_defaults=True, exclude={"score_test"})
    parts = [f"--set {shlex.quote(f'{name}={_toml(value)}')}" for name, value in settings.items()]
    return " ".join(["loretta run", *parts, "--out", shlex.quote(out)])


def _toml(value: Any) -> str:
    """Write a JSON value as TOML on one line. None is no TOML, and no setting whose default is another value can be None."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items() if item is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike in both


def _num_labels(cell: CellConfig) -> str:
    """Return the argument num_labels, which is needed unless it is two, the default of transformers."""
    outputs = known_outputs(cell) if cell.task.objective in FRESH_HEADS else 2
    return f", num_labels={outputs}" if outputs not in (2, None) else ""
