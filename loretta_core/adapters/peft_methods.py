"""The methods that PEFT itself implements: their configs completed and injected into a model.

What is added to PEFT: layers to attach to from our own table, errors that name the layers that exist, `fan_in_fan_out` for GPT-2's transposed layers, and a
message that lists a PEFT config's fields when a key fits none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, PeftType, PromptLearningConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner
from pydantic import JsonValue
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.prompt_learning import prompt_model
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.linear_tuner import find_targets
from loretta_core.errors import MethodError
from loretta_core.methods import METHODS
from loretta_core.methods.targets import input_side_names
from loretta_core.sites import matching


def any_peft_config(*, peft_type: str, fields: Mapping[str, JsonValue]) -> PeftConfig:
    """Return the config of a method by its PEFT name. Raises MethodError for a field that the PEFT config does not have, or a value that it refuses."""
    config_cls: Any = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[peft_type]]
    known = [item.name for item in dataclasses.fields(config_cls) if item.init and item.name not in _NOT_FOR_USERS]
    for name in fields:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise MethodError(f"method.{name}: {config_cls.__name__} of PEFT has no such field. {hint}Its fields: {', '.join(known)}")
    try:
        return config_cls(**fields)
    except (TypeError, ValueError) as error:
        raise MethodError(f"peft_type = {peft_type!r}: {config_cls.__name__} refuses these settings: {error}") from None


_NOT_FOR_USERS = {field.name for field in dataclasses.fields(PeftConfig)} | {"modules_to_save"}
"""Bookkeeping that PEFT or we fill in."""


def inject(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """Wrap `model` as `get_peft_model` does, with the additions above. Raises MethodError before the model changes, where that can be known."""
    if isinstance(config, PromptLearningConfig):
        return prompt_model(model, config)
    if not isinstance(config, TargetedConfig):  # our own tuners find their layers themselves
        _choose_layers(model, config)
    try:
        return get_peft_model(model, config)
    except MethodError:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, NotImplementedError) as error:
        raise MethodError(f"PEFT's {PeftType(config.peft_type).value} does not fit {type(model).__name__}: {error}") from None


def _choose_layers(model: nn.Module, config: Any) -> None:
    """Fill in the layers of a method that attaches to some, from the user's choice or the architecture's table."""
    method = next((name for name, each in METHODS.items() if each.attachment is not None and each.peft_name == config.peft_type), None)
    if method is None:
        return
    assert not isinstance(config.target_modules, str)
    config.target_modules = find_targets(model, config.target_modules, method=method)
    if isinstance(config, LoraConfig | IA3Config):
        hit = [module for path, module in model.named_modules() if any(matching([path], target=name) for name in config.target_modules)]
        config.fan_in_fan_out = all(isinstance(module, Conv1D) for module in hit)
    if isinstance(config, IA3Config) and config.feedforward_modules is None:
        model_type = str(BaseTuner.get_model_config(model)["model_type"])
        config.feedforward_modules = list(input_side_names(config.target_modules, model_type=model_type, method=method))
