"""Is a model a decoder? From its config.json where that is at hand, else from its name: some tasks are asked of a decoder in another form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from loretta_core.config.checkpoints.local_files import find_checkpoint, read_config
from loretta_core.config.model import Pretrained
from loretta_core.errors import ModelError
from loretta_core.sites import DECODERS

RANKED_BY_DECODERS = ("sst2", "rte")
"""Tasks whose objective is `causal` on a decoder and `head` on an encoder, unless it is given."""

_NAMES = re.compile(r"(^|[/_-])(llama|tinyllama|smollm|opt|mistral|ministral|qwen|gemma|gpt|phi|pythia|olmo|falcon|bloom)([\d._-]|$)", re.IGNORECASE)


def default_objective(model: Any, task: Any) -> str | None:
    """Return the objective of a task that gives none, from the raw tables of a cell; None where it is the task's own default."""
    named = isinstance(model, Mapping) and isinstance(task, Mapping) and "objective" not in task and task.get("type") in RANKED_BY_DECODERS
    return "causal" if named and _is_decoder(model) else None


def _is_decoder(model: Mapping[str, Any]) -> bool:
    try:
        pretrained = Pretrained.model_validate(model)
        directory = find_checkpoint(pretrained)
        config = None if directory is None else read_config(directory)
    except (ValidationError, ModelError):
        return False  # what is wrong is said where it is used
    if config is None:
        return _NAMES.search(pretrained.name) is not None
    heads = [str(name) for name in config.get("architectures") or ()]
    return config.get("model_type") in DECODERS or any(name.endswith("ForCausalLM") for name in heads)
