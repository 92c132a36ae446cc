"""The methods that PEFT itself implements, from our config to PEFT's and into the model.

What is added to PEFT: sites from our own table, errors that name the layers that exist, `fan_in_fan_out` for GPT-2's transposed layers, and a message that
lists a PEFT config's fields when a key fits none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PeftType,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptLearningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.tuners.prompt_tuning import prompt_model
from loretta_core.adapters.tuners.site_tuner import find_targets
from loretta_core.config.method import Ia3, Lora, Peft, Prefix, Prompt, Ptune
from loretta_core.errors import MethodError
from loretta_core.sites import input_side_names, matching


def lora_config(method: Lora) -> LoraConfig:
    return LoraConfig(**method.model_dump(exclude={"type"}))


def ia3_config(method: Ia3) -> IA3Config:
    return IA3Config(**method.model_dump(exclude={"type"}))


def prompt_config(method: Prompt) -> PromptTuningConfig:
    return PromptTuningConfig(**method.model_dump(exclude={"type"}))


def prefix_config(method: Prefix) -> PrefixTuningConfig:
    return PrefixTuningConfig(**method.model_dump(exclude={"type"}))


def ptune_config(method: Ptune) -> PromptEncoderConfig:
    return PromptEncoderConfig(**method.model_dump(exclude={"type"}))


def any_peft_config(method: Peft) -> PeftConfig:
    """Raises MethodError for a field that the PEFT config does not have, or a value that it refuses."""
    config_cls: Any = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[method.peft_type]]
    known = [item.name for item in dataclasses.fields(config_cls) if item.init and item.name not in _NOT_FOR_USERS]
    for name in method.fields:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise MethodError(f"method.{name}: {config_cls.__name__} of PEFT has no such field. {hint}Its fields: {', '.join(known)}")
    try:
        return config_cls(**method.fields)
    except (TypeError, ValueError) as error:
        raise MethodError(f"peft_type = {method.peft_type!r}: {config_cls.__name__} refuses these settings: {error}") from None


_NOT_FOR_USERS = {field.name for field in dataclasses.fields(PeftConfig)} | {"modules_to_save"}
"""Bookkeeping that PEFT or we fill in."""


def inject(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """`get_peft_model` with the additions above. Raises MethodError before the model changes, where that can be known."""
    if isinstance(config, PromptLearningConfig):
        return prompt_model(model, config)
    if isinstance(config, LoraConfig):
        _fill_sites(model, config, method="lora")
    elif isinstance(config, IA3Config):
        _fill_sites(model, config, method="ia3")
        assert isinstance(config.target_modules, list)
        if config.feedforward_modules is None:
            config.feedforward_modules = list(input_side_names(config.target_modules, model_type=_model_type(model), method="ia3"))
    try:
        return get_peft_model(model, config)
    except MethodError:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, NotImplementedError) as error:
        raise MethodError(f"PEFT's {PeftType(config.peft_type).value} does not fit {type(model).__name__}: {error}") from None


def _fill_sites(model: nn.Module, config: LoraConfig | IA3Config, *, method: str) -> None:
    assert not isinstance(config.target_modules, str)
    config.target_modules = find_targets(model, config.target_modules, method=method)
    hit = [module for path, module in model.named_modules() if any(matching([path], target=name) for name in config.target_modules)]
    config.fan_in_fan_out = all(isinstance(module, Conv1D) for module in hit)


def _model_type(model: nn.Module) -> str:
    return str(BaseTuner.get_model_config(model)["model_type"])
