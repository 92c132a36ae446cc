"""Strict loading of a saved PEFT adapter: every stored tensor has a place and every place a tensor.

PEFT loads with strict=False and says nothing about what is missing; that is how the authors' package lost its trained norms. What fits is found out on a copy
of the base without memory, so that a refusal leaves the base as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from loretta_core.adapters.io.earlier_keys import with_prefixed_norms
from loretta_core.errors import OutputError
from loretta_core.quantized.formats import alias, is_quantized

WEIGHTS = "adapter_model.safetensors"


def load_peft(
    model: PreTrainedModel,
    directory: Path,
    *,
    expected: type[PeftConfig] | None,
    inject: Callable[[PreTrainedModel, PeftConfig], PeftModel],
    checked_first: Collection[type[PeftConfig]],
) -> PeftModel:
    """Inject as the saved config says and fill in the saved values. Raises OutputError.

    Args:
        expected: the type that the adapter must have; None takes any.
        checked_first: types whose injection needs no values of the base, so that a copy without memory is tried first; PEFT's other methods may compute with
            these values, and of them nothing is known before they are injected.
    """
    try:
        config = PeftConfig.from_pretrained(str(directory))
        state = with_prefixed_norms(load_file(directory / WEIGHTS), prefix=f"{PeftType(config.peft_type).value.lower()}_")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise OutputError(f"{directory} holds no adapter that can be read (adapter_config.json and {WEIGHTS}): {error}") from None
    if expected is not None and type(config) is not expected:
        raise OutputError(f"the adapter in {directory} is of type {config.peft_type}, which {expected.__name__} does not describe")
    config.inference_mode = False
    if config.is_prompt_learning or type(config) not in checked_first:  # a prompt changes nothing inside the base, and computes what it saves
        wrapped = inject(model, config)
        _check_same(state, wrapped, directory)
    else:
        with torch.device("meta"):
            _check_same(state, inject(_without_memory(model), deepcopy(config)), directory)
        wrapped = inject(model, config)
    set_peft_model_state_dict(wrapped, state)
    return wrapped


def _without_memory(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of the structure whose parameters have shapes and no values; quantized ones, which PEFT asks how they are quantized, are shared."""
    return deepcopy(model, {id(parameter): _shape_of(parameter) for parameter in model.parameters()})


def _shape_of(parameter: nn.Parameter) -> nn.Parameter:
    return alias(parameter) if is_quantized(parameter) else nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)


def _check_same(state: dict[str, Tensor], wrapped: PeftModel, directory: Path) -> None:
    stored = {name: tuple(value.shape) for name, value in state.items()}
    expected = {name: tuple(value.shape) for name, value in get_peft_model_state_dict(wrapped, save_embedding_layers=False).items()}
    missing, extra = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    reshaped = [f"{name} {stored[name]} for {expected[name]}" for name in sorted(stored.keys() & expected.keys()) if stored[name] != expected[name]]
    problems = [
        f"{kind}: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        for kind, names in zip(("missing", "unknown", "other shape"), (missing, extra, reshaped), strict=True)
        if names
    ]
    if problems:
        raise OutputError(f"the adapter in {directory} belongs to another base model or method; {'; '.join(problems)}")
