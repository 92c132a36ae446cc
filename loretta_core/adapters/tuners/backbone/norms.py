"""`is_norm` finds the norms of a model by what they do, whatever their class is called.

A norm has 1-D parameters of the width of its input (Cohere's: one row per attention head) and forgets the scale of its input: f(1000 x) = f(x), row by row, for
T5's RMS norm without a bias, Gemma's with 1 + w, Qwen's on queries and keys, BLOOM's plain LayerNorm, GroupNorm. A batch norm mixes rows or keeps statistics, a
learned scale and a PReLU follow the scale of their input, a norm without parameters has nothing to train, and one that takes a gate beside its input
(Mamba 2's) is a part of its mixer: none of these counts.
"""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from torch.func import functional_call

_KNOWN = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
_NO_NORMS = (nn.Linear, nn.Embedding, nn.modules.batchnorm._BatchNorm)
_CLASS_NAMES = ("LayerNorm", "RMSNorm")
_TOLERANCE = 1e-2


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalizes its one input and has weights of its own; the weights' values and device (also meta) do not matter."""
    shapes = [parameter.shape for parameter in module.parameters(recurse=False)]
    if not shapes or isinstance(module, _NO_NORMS) or any(True for _ in module.children()) or any(True for _ in module.buffers()):
        return False
    if any(shape != shapes[0] for shape in shapes) or not 1 <= len(shapes[0]) <= 2 or not _takes_one_input(module):
        return False
    if isinstance(module, _KNOWN) or type(module).__name__.endswith(_CLASS_NAMES):
        return True
    return len(shapes[0]) == 1 and _forgets_scale(module, width=shapes[0][0])


def _takes_one_input(module: nn.Module) -> bool:
    return len(inspect.signature(module.forward).parameters) == 1


def _forgets_scale(module: nn.Module, *, width: int) -> bool:
    """Return whether rows of any size give the same output, and other rows another one; computed with made-up weights in fp32."""
    if width < 2:
        return False
    weights = {name: torch.ones(parameter.shape) for name, parameter in module.named_parameters(recurse=False)}
    generator = torch.Generator().manual_seed(0)
    rows, others = (torch.randn(2, 3, width, generator=generator) for _ in range(2))
    mixed = torch.cat([rows[:1], others[1:]])
    try:
        with torch.no_grad():
            plain, large, other = (functional_call(module, weights, (x,)) for x in (rows, 1000 * rows, mixed))
    except Exception:  # a module of any kind: whatever it raises, it is not called as a norm is
        return False
    if not isinstance(plain, Tensor) or plain.shape != rows.shape:
        return False
    same = torch.allclose(plain, large, rtol=_TOLERANCE, atol=_TOLERANCE)
    return same and torch.allclose(plain[0], other[0]) and not torch.allclose(plain[1], other[1], atol=_TOLERANCE)
