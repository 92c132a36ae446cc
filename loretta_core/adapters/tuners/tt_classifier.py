"""The tensorized classifier: the hidden x hidden layer of a classification head as a tensor train (arXiv 2402.11417, section 3.2 and table 11).

PEFT gives every adapter its own copy of a head (`modules_to_save`); in that copy a TTLinear with bias takes the place of the dense layer, drawn at random as
the head itself is. The base keeps its own head, so disabling and switching adapters work as without. 768 x 768: 920 + 768 parameters for 590,592.

Merging turns it back into a dense layer, exactly.
"""

from __future__ import annotations

import logging

import torch
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from loretta_core.adapters.io.saved_modules import cast_inputs
from loretta_core.adapters.tuners.base_configs import TTConfig
from loretta_core.errors import MethodError
from loretta_core.sites import HEAD_LAYERS
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import Shape

log = logging.getLogger(__name__)


class TTHeadLinear(TTLinear):
    """A TTLinear that computes in the dtype of its cores and answers in that of its inputs: transformers' own loading leaves the rest of a head in bf16."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.cores[0].dtype)).to(x.dtype)


def head_shape(config: TTConfig, *, model_type: str) -> Shape | None:
    """Return the setting of the modes of the head's layer, or None to leave it dense. Raises MethodError where there is no such layer."""
    wanted = config.classifier_shape
    has_layer = config.task_type == "SEQ_CLS" and model_type in HEAD_LAYERS
    if wanted is None:
        return "paper" if config.shape == "paper" and has_layer else None
    if wanted == "dense":
        return None
    if not has_layer:
        raise MethodError(
            f"classifier_shape = {wanted!r}: {model_type} with task_type {config.task_type} has no hidden x hidden layer in a new classification head; "
            f"SEQ_CLS models that do: {', '.join(HEAD_LAYERS)}. Take classifier_shape = 'dense'"
        )
    return wanted


def has_head(model: nn.Module, *, model_type: str) -> bool:
    """Return whether the model has a head at all; one without (`AutoModel`) may be given the adapter of a classifier, as with LoRA."""
    return any(name == HEAD_LAYERS[model_type].partition(".")[0] for name, _ in model.named_children())


def head_linear(model: nn.Module, *, model_type: str) -> nn.Linear:
    """Return the hidden x hidden layer of the base's head. Raises MethodError if the model is not built as its type says."""
    path = HEAD_LAYERS[model_type]
    wrapper, inner = _wrapper(model, path)
    try:
        layer = model.get_submodule(path) if wrapper is None else wrapper.original_module.get_submodule(inner)
    except AttributeError:
        layer = None
    if not isinstance(layer, nn.Linear):
        raise MethodError(f"the classification head of this {model_type} has no linear layer {path}; take classifier_shape = 'dense'")
    return layer


def make_head(config: TTConfig, base: nn.Linear, *, shape: Shape) -> TTHeadLinear:
    """Return a tensor train with random cores that has the widths and the bias of `base`."""
    return TTHeadLinear(base.in_features, base.out_features, rank=config.tensor_rank, shape=shape, bias=base.bias is not None)


def tell_dense_head(config: TTConfig, model: nn.Module, *, model_type: str) -> None:
    """Log how much of what trains a classification head's dense layer is, where nobody chose it: in RoBERTa-base nine in ten of all trained numbers."""
    chosen = config.classifier_shape is not None or config.inference_mode or config.task_type != "SEQ_CLS" or model_type not in HEAD_LAYERS
    if chosen or not has_head(model, model_type=model_type):
        return
    dense = head_linear(model, model_type=model_type)
    with torch.device("meta"):
        train = make_head(config, dense, shape="auto")
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in (dense, train)]
    log.warning(
        "the classification head trains in full: %s numbers of it are in the dense layer %s, outside of the adapters; "
        "classifier_shape = 'auto' makes it a tensor train of %s (arXiv 2402.11417, table 11); 'dense' keeps it without this note",
        f"{counts[0]:,}",
        HEAD_LAYERS[model_type],
        f"{counts[1]:,}",
    )


def tensorize_head(model: nn.Module, *, config: TTConfig, adapter: str, model_type: str, shape: Shape) -> None:
    """Replace the layer in the copy of the head that PEFT has made for `adapter`; a copy that is a train already stays."""
    wrapper, inner = _wrapper(model, HEAD_LAYERS[model_type])
    assert wrapper is not None, "PEFT has not wrapped the head"
    copies = wrapper.modules_to_save
    old = copies[adapter].get_submodule(inner)
    if isinstance(old, TTHeadLinear):
        return
    assert isinstance(old, nn.Linear)
    new = make_head(config, old, shape=shape).requires_grad_(old.weight.requires_grad)
    if not new.cores[0].is_meta:  # PEFT's low_cpu_mem_usage fills it in later
        new.to(old.weight.device)
    if inner:
        parent, _, name = inner.rpartition(".")
        setattr(copies[adapter].get_submodule(parent), name, new)
    else:
        copies[adapter] = new


def densify_heads(model: nn.Module) -> None:
    """Replace every tensorized layer by the dense layer that it equals."""
    for path, module in list(model.named_modules()):
        if isinstance(module, TTHeadLinear):
            dense = nn.Linear(module.shape.in_features, module.shape.out_features, bias=module.bias is not None)
            dense.weight.data = module.to_dense().detach().contiguous()
            if module.bias is not None:
                dense.bias.data = module.bias.detach().clone()
            cast_inputs(dense)
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, dense.train(module.training))


def _wrapper(model: nn.Module, path: str) -> tuple[ModulesToSaveWrapper | None, str]:
    """Return PEFT's wrapper on the way to `path` and the rest of the path inside it; (None, path) before PEFT has wrapped the head."""
    parts = path.split(".")
    for depth in range(1, len(parts) + 1):
        try:
            module = model.get_submodule(".".join(parts[:depth]))
        except AttributeError:
            break
        if isinstance(module, ModulesToSaveWrapper):
            return module, ".".join(parts[depth:])
    return None, path
