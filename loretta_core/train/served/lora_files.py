"""The present weights of a model as a LoRA adapter on disk, for a server that loads one: those of LoRA as they are, those of loretta_rep multiplied out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict

from loretta_core.adapters.as_lora import LoraAdapter, as_lora


@torch.no_grad()
def write_lora(model: PeftModel, directory: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors. Raises MethodError for adapters that are no LoRA, and where norms trained."""
    present_lora(model).save(directory)


def present_lora(model: PeftModel) -> LoraAdapter:
    """Return the present values of a model's adapter as LoRA."""
    config: Any = model.active_peft_config
    if not isinstance(config, LoraConfig):
        return as_lora(model)
    tensors = {name: value.detach().to("cpu", torch.float32).contiguous().clone() for name, value in get_peft_model_state_dict(model).items()}
    return LoraAdapter(config, tensors, ())
