"""Heads trained in full (PEFT's `modules_to_save`): which modules make up the head, and their precision.

PEFT trains and saves `classifier` and `score`. A pooler that the checkpoint did not hold (a masked-LM checkpoint, every DeBERTa) is random as well: frozen and
unsaved, as PEFT leaves it, a reloaded adapter would meet another random pooler. So new modules train and are saved with the head.

PEFT copies a head in the base's dtype, which for a bf16 base means training the classifier in bf16. Here the copy becomes fp32 and casts its own inputs, so
that optimizers and the zeroth-order engine see fp32 parameters only and the logits are fp32.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from loretta_core.quantized.formats import is_quantized

PEFT_HEADS = ("classifier", "score")
"""Ends of the names that PEFT adds to `modules_to_save` for SEQ_CLS by itself."""

HEADS_PEFT_MISSES = ("classification_head",)
"""Names of classification heads that PEFT does not add: those of encoder-decoders (T5, BART)."""


def new_modules(model: nn.Module) -> list[str]:
    """Return the paths of further modules whose parameters `from_pretrained` drew at random; none for a model that was not loaded from a checkpoint."""
    loaded = {name: bool(getattr(parameter, "_is_hf_initialized", False)) for name, parameter in model.named_parameters() if not is_quantized(parameter)}
    if not any(loaded.values()):
        return []
    paths = dict.fromkeys(name.rpartition(".")[0] for name, from_checkpoint in loaded.items() if not from_checkpoint)
    return [path for path in paths if not any(part.endswith((*PEFT_HEADS, *HEADS_PEFT_MISSES)) for part in path.split("."))]


def upcast_saved_modules(model: nn.Module, *, adapter: str) -> None:
    """Convert the copies of heads that belong to `adapter` to fp32, in place; those that are fp32 already stay as they are."""
    for module in model.modules():
        if isinstance(module, ModulesToSaveWrapper) and adapter in module.modules_to_save:
            copy = module.modules_to_save[adapter]
            if any(parameter.dtype in (torch.bfloat16, torch.float16) for parameter in copy.parameters()):
                cast_inputs(copy.float())


def cast_inputs(module: nn.Module) -> None:
    """Make an fp32 module convert its inputs to fp32, in whatever precision the base computes them."""
    module.register_forward_pre_hook(_cast_to_fp32, with_kwargs=True)


def _cast_to_fp32(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(_to_fp32, args)), {name: _to_fp32(value) for name, value in kwargs.items()}


def _to_fp32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
