"""The number of parameters that a method trains on a model, without torch: the attached layers, their widths and the method's own counts decide it.

A law of the tests: for every method and architecture this equals what the real model says. The classification head trains with every method.
"""

from __future__ import annotations

from collections.abc import Collection

from loretta_core.config.method import MethodConfig
from loretta_core.methods.grid import AttachedLayer
from loretta_core.methods.targets import is_on_input, known_sites, sites_for
from loretta_core.plan.architectures.layers import Layer, ModelLayers
from loretta_core.sites import HEAD_LAYERS, Sites, matching
from loretta_core.structure import Linear


def trainable_parameters(method: MethodConfig, model: ModelLayers) -> int | None:
    """Return how many numbers train, or None for `peft`, whose methods only PEFT can count. Raises MethodError for a tensor-train shape that does not fit."""
    if method.open_ended:
        return None
    if method.every_weight_trains:
        return model.total
    sizes = model.sizes
    beside = method.parameters_beside(hidden=sizes.hidden, keys=sizes.keys, layers=sizes.layers)
    return model.head_count + _attached(method, model) + beside + _norms_and_biases(method, model) + _classifier_change(method, model)


def _attached(method: MethodConfig, model: ModelLayers) -> int:
    """Return what trains at the layers that the method attaches to."""
    if method.attachment is None:
        return 0
    sites = (known_sites if method.targets else sites_for)(model.model_type, method.type, linears=model.linears)
    names = method.targets or sites.names
    layers = [layer for layer in model.frozen if layer.kind == "linear" and _hit(layer, names)]
    own = sum(
        method.parameters_at(in_features=layer.in_features, out_features=layer.out_features, on_input=_on_input(layer, method, sites=sites)) for layer in layers
    )
    attached = [AttachedLayer(layer.path, layer.in_features, layer.out_features) for layer in layers]
    return own + method.parameters_shared(attached, head_width=model.sizes.head_width)


def _on_input(layer: Layer, method: MethodConfig, *, sites: Sites) -> bool:
    """Return whether a method changes a layer on its input, given the model's known sites for it."""
    if method.input_targets:
        return _hit(layer, method.input_targets)
    return is_on_input(Linear(layer.path, layer.in_features, layer.out_features), sites=sites, method=method.type)


def _hit(layer: Layer, names: Collection[str]) -> bool:
    return any(matching([layer.path], target=name) for name in names)


def _norms_and_biases(method: MethodConfig, model: ModelLayers) -> int:
    """Return what trains of the backbone's own parameters."""
    norms = sum(layer.count for layer in model.frozen if layer.kind == "norm") if method.norms_train else 0
    biases = sum(layer.bias_count for layer in model.frozen if layer.path.startswith(model.backbone)) if method.biases_train else 0
    return norms + biases


def _classifier_change(method: MethodConfig, model: ModelLayers) -> int:
    """Return what changes when the head's hidden x hidden layer is a tensor train: less than nothing, as a rule."""
    layer = next((layer for layer in model.layers if layer.path == HEAD_LAYERS.get(model.model_type)), None)
    if layer is None:
        return 0
    count = method.classifier_parameters(in_features=layer.in_features, out_features=layer.out_features, bias=layer.bias)
    if count is None:
        return 0
    return count - layer.count if model.in_head(layer) else count
