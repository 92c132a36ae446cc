"""Start loretta_rep from updates that exist already, such as the difference of two checkpoints or a merged LoRA.

    errors = warm_start(model, {"model.layers.0.self_attn.q_proj": delta_OI, …})

Each delta is cut to the bottleneck's rank by an SVD and to the tensor-train rank by TT-SVD; what is lost is returned, never silent.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from loretta_core.adapters.tuners.loretta_rep import LorettaRepLayer, TTLowRank
from loretta_core.errors import MethodError


def warm_start(model: nn.Module, deltas: Mapping[str, Tensor], *, adapter: str = "default") -> dict[str, float]:
    """Write `deltas` (layout of `nn.Linear.weight`) into the updates at these paths of the base model; layers that are not named stay as they are.

    Returns the relative error per path, in the Frobenius norm. Raises MethodError, before anything is changed, for a path without an update of `adapter` or
    a delta of another size.
    """
    layers = {path.removeprefix("base_model.model."): layer for path, layer in model.named_modules() if isinstance(layer, LorettaRepLayer)}
    blocks = {}
    for path, delta_OI in deltas.items():
        layer = layers.get(path)
        if layer is None or adapter not in layer.blocks:
            raise MethodError(f"warm start: {path!r} has no loretta_rep update of the adapter {adapter!r}; there are: {', '.join(layers) or 'none'}")
        expected = (layer.out_features, layer.in_features)
        if tuple(delta_OI.shape) != expected:
            raise MethodError(f"warm start: the delta of {path!r} is {tuple(delta_OI.shape)}, but the layer is {expected} (out x in)")
        blocks[path] = layer.blocks[adapter]
    return {path: _set(block, deltas[path]) for path, block in blocks.items()}


def _set(block: nn.Module, delta_OI: Tensor) -> float:
    assert isinstance(block, TTLowRank)
    return block.set_delta_(delta_OI)
