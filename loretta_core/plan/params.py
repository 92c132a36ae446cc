"""How many parameters a method trains on a model, without torch: the sites, the widths and the tensor-train shapes decide it.

A law of the tests: for every method and architecture this equals what the real model says. The classification head trains with every method.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from loretta_core.config.method import Adapters, Bitfit, Ft, Ia3, Lora, LorettaAdp, LorettaRep, MethodConfig, Peft, Prefix, Prompt, Ptune
from loretta_core.plan.architectures.layers import Layer, ModelLayers
from loretta_core.sites import HEAD_LAYERS, input_side_names, matching, sites_for
from loretta_core.tt.shapes import mirrored, tt_parameter_count

_Frozen = LorettaAdp | LorettaRep | Adapters | Lora | Ia3 | Prompt | Prefix | Ptune | Bitfit
"""Methods that leave the backbone as it is."""


def trainable_parameters(method: MethodConfig, model: ModelLayers) -> int | None:
    """None for `peft`, whose methods only PEFT can count. Raises MethodError for a tensor-train shape that does not fit."""
    match method:
        case Peft():
            return None
        case Ft():
            return model.total
    return model.head_count + _beside_the_head(method, model)


def _beside_the_head(method: _Frozen, model: ModelLayers) -> int:
    match method:
        case LorettaAdp() | LorettaRep():
            return _loretta(method, model) + _norms(method, model) + _tensorized_head(method, model)
        case Adapters():
            return _adapters(method, model) + _norms(method, model)
        case Lora():
            return _lora(method, model)
        case Ia3():
            return _ia3(method, model)
        case Prompt():
            return method.num_virtual_tokens * model.sizes.hidden
        case Prefix():
            return _prefix(method, model)
        case Ptune():
            return _ptune(method, model.sizes.hidden)
        case Bitfit():
            return sum(layer.bias_count for layer in model.frozen if layer.path.startswith(model.backbone))
    assert_never(method)


def _sites(method: LorettaAdp | LorettaRep | Adapters | Lora | Ia3, model: ModelLayers) -> list[Layer]:
    names = method.target_modules or sites_for(model.model_type, method.type).names
    return [layer for layer in model.frozen if layer.kind == "linear" and _hit(layer, names)]


def _hit(layer: Layer, names: Collection[str]) -> bool:
    return any(matching([layer.path], target=name) for name in names)


def _widths(method: LorettaAdp | Adapters, model: ModelLayers) -> list[int]:
    """The width of every adapter: that of the side of the layer where it sits."""
    names = method.target_modules or sites_for(model.model_type, method.type).names
    on_input = input_side_names(names, model_type=model.model_type)
    return [layer.in_features if _hit(layer, on_input) else layer.out_features for layer in _sites(method, model)]


def _loretta(method: LorettaAdp | LorettaRep, model: ModelLayers) -> int:
    if isinstance(method, LorettaRep):
        return sum(_tt_pair(method, layer.in_features, method.r, layer.out_features) for layer in _sites(method, model))
    middle = method.bottleneck_size
    return sum(_tt_pair(method, width, middle, width) + _bias(method.adapter_bias, middle=middle, width=width) for width in _widths(method, model))


def _tt_pair(method: LorettaAdp | LorettaRep, width: int, middle: int, width_out: int) -> int:
    narrowing = tt_parameter_count(width, middle, rank=method.tensor_rank, shape=method.shape)
    return narrowing + tt_parameter_count(middle, width_out, rank=method.tensor_rank, shape=mirrored(method.shape))


def _bias(which: str, *, middle: int, width: int) -> int:
    return {"both": middle + width, "down": middle, "none": 0}[which]


def _adapters(method: Adapters, model: ModelLayers) -> int:
    middle = method.bottleneck_size
    return sum(2 * width * middle + _bias(method.adapter_bias, middle=middle, width=width) for width in _widths(method, model))


def _norms(method: LorettaAdp | LorettaRep | Adapters, model: ModelLayers) -> int:
    return sum(layer.count for layer in model.frozen if layer.kind == "norm") if method.train_norms else 0


def _tensorized_head(method: LorettaAdp | LorettaRep, model: ModelLayers) -> int:
    """What changes when the head's hidden x hidden layer is a tensor train: less than nothing, as a rule."""
    shape = method.classifier_shape
    if shape is None and method.shape == "paper":
        shape = "paper"
    layer = next((layer for layer in model.layers if layer.path == HEAD_LAYERS.get(model.model_type)), None)
    if shape is None or shape == "dense" or layer is None:
        return 0
    train = tt_parameter_count(layer.in_features, layer.out_features, rank=method.tensor_rank, shape=shape, bias=layer.bias)
    return train - layer.count if model.in_head(layer) else train


def _lora(method: Lora, model: ModelLayers) -> int:
    sites = _sites(method, model)
    return sum(method.r * (layer.in_features + layer.out_features) + (layer.out_features if method.use_dora else 0) for layer in sites)


def _ia3(method: Ia3, model: ModelLayers) -> int:
    names = method.target_modules or sites_for(model.model_type, "ia3").names
    on_input = method.feedforward_modules or input_side_names(names, model_type=model.model_type, method="ia3")
    return sum(layer.in_features if _hit(layer, on_input) else layer.out_features for layer in _sites(method, model))


def _prefix(method: Prefix, model: ModelLayers) -> int:
    keys, values = model.sizes.keys, 2 * model.sizes.layers * model.sizes.keys
    if not method.prefix_projection:
        return method.num_virtual_tokens * values
    inner = method.encoder_hidden_size or keys
    return method.num_virtual_tokens * keys + _dense(keys, inner) + _dense(inner, values)


def _ptune(method: Ptune, hidden: int) -> int:
    inner = method.encoder_hidden_size or hidden
    embedding = method.num_virtual_tokens * hidden
    if method.encoder_reparameterization_type == "MLP":
        return embedding + _dense(hidden, inner) + _dense(inner, inner) + _dense(inner, hidden)
    # A bidirectional LSTM layer has four gates per direction, each with two biases; all but the first read both directions.
    inputs = [hidden, *[2 * inner] * (method.encoder_num_layers - 1)]
    lstm = sum(2 * 4 * inner * (width + inner + 2) for width in inputs)
    return embedding + lstm + _dense(2 * inner, 2 * inner) + _dense(2 * inner, hidden)


def _dense(in_features: int, out_features: int) -> int:
    return in_features * out_features + out_features
