"""Quantized frozen bases: the formats of `model.quantization`, through bitsandbytes and torchao, and what their tensors hold.

    8bit          bitsandbytes, LLM.int8 (arXiv 2208.07339): weights and activations in 8 bit, outliers aside
    nf4, fp4      bitsandbytes, 4 bit in blocks of 64, scales quantized too (QLoRA, arXiv 2305.14314)
    int8, float8  torchao, weights alone, one scale per output row

Embeddings, norms, heads and whatever trains keep the precision of the cell. `transformers` does the quantizing while it loads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from loretta_core.config.model import BITSANDBYTES, Quantization
from loretta_core.errors import ModelError


def quantization_settings(name: Quantization, *, dtype: torch.dtype, keep: Sequence[str]) -> Any:
    """Return transformers' `quantization_config` of a format.

    Args:
        dtype: of the matrix products of 4-bit layers.
        keep: names of modules that are not quantized.
    """
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if name == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(keep))
    if name in ("nf4", "fp4"):
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=name, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype, llm_int8_skip_modules=list(keep)
        )
    return TorchAoConfig(_torchao(name), modules_to_not_convert=list(keep))


def check_kernels(name: Quantization, *, dtype: torch.dtype) -> None:
    """Raise ModelError, before weights are read, if a small layer of this format cannot be made or computed with here; it names the formats that can."""
    reason = _refusal(name, dtype)
    if reason is None:
        return
    others = [other for other in get_args(Quantization) if other != name and _refusal(other, dtype) is None]
    advice = f"These can: {', '.join(others)}" if others else "No format can; leave it out"
    raise ModelError(f'model.quantization = "{name}" cannot be computed with on this machine: {reason}. {advice}')


def _refusal(name: Quantization, dtype: torch.dtype) -> str | None:
    try:
        layer = quantized_layer(name, dtype)
        with torch.no_grad():
            layer(torch.zeros(1, 64, dtype=dtype))
    except (ImportError, NotImplementedError, RuntimeError, AttributeError, ValueError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def quantized_layer(name: Quantization, dtype: torch.dtype, *, width: int = 64) -> nn.Module:
    """Return a linear layer with random weights, width × width, in a format."""
    if name in BITSANDBYTES:
        import bitsandbytes as bnb

        make: Callable[[], nn.Module] = {
            "8bit": lambda: bnb.nn.Linear8bitLt(width, width, has_fp16_weights=False),
            "nf4": lambda: bnb.nn.Linear4bit(width, width, compute_dtype=dtype, quant_type="nf4"),
            "fp4": lambda: bnb.nn.Linear4bit(width, width, compute_dtype=dtype, quant_type="fp4"),
        }[name]
        return make().to(dtype).to("cpu")
    from torchao.quantization import quantize_

    layer = nn.Sequential(nn.Linear(width, width, dtype=dtype))
    quantize_(layer, _torchao(name))
    return layer[0]


def _torchao(name: Quantization) -> Any:
    from torchao import quantization

    return quantization.Int8WeightOnlyConfig() if name == "int8" else quantization.Float8WeightOnlyConfig()


def is_quantized(parameter: Tensor) -> bool:
    """Return whether a parameter is a quantized weight."""
    return not parameter.is_floating_point() or hasattr(parameter, "__tensor_flatten__")


def alias(parameter: nn.Parameter) -> nn.Parameter:
    """Return a parameter on the same storage, of the same class and with the attributes: transformers notes on it whether it came from the checkpoint,
    bitsandbytes its scales."""
    if is_quantized(parameter) and not hasattr(parameter, "__tensor_flatten__"):
        twin = torch.Tensor._make_subclass(type(parameter), parameter.data, parameter.requires_grad)
    else:
        twin = nn.Parameter(parameter.data, requires_grad=parameter.requires_grad)
    twin.__dict__.update(parameter.__dict__)
    return twin


def number_count(parameter: Tensor) -> int:
    """Return how many numbers a parameter stands for: two in each byte of a 4-bit weight."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else math.prod(state.shape)


def stored_bytes(parameter: Tensor) -> int:
    """Return the bytes that a parameter takes, with its scales."""
    if hasattr(parameter, "__tensor_flatten__"):
        names, _ = parameter.__tensor_flatten__()
        return sum(stored_bytes(getattr(parameter, name)) for name in names)
    own = parameter.numel() * parameter.element_size()
    state: Any = getattr(parameter, "quant_state", None)
    scales = getattr(parameter, "SCB", None)
    if state is not None:
        nested = state.state2.absmax if state.nested else None
        own += sum(part.numel() * part.element_size() for part in (state.absmax, nested) if part is not None)
    return own if scales is None else own + scales.numel() * scales.element_size()
