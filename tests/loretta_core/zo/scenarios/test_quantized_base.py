"""Zeroth order over a quantized frozen base is zeroth order over its dequantized weights: the same losses, θ untouched, replay bitwise, one forward or several.

The base is quantized as it is loaded, by bitsandbytes (8 bits, which rounds activations too, and 4 bits) or torchao (8 bits); adapters stay fp32.
"""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, TorchAoConfig

from loretta_core.adapters.build import apply_method
from loretta_core.config import FAMILIES
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.population import Population
from loretta_core.zo.replay_log import LogWriter, read_log, replay
from loretta_core.zo.variants import Batched

INSTALL = "needs bitsandbytes and torchao: pip install -c constraints.txt -e '.[quantized]'"
pytestmark = [
    pytest.mark.skipif(find_spec("bitsandbytes") is None or find_spec("torchao") is None, reason=INSTALL),
    pytest.mark.filterwarnings("ignore"),  # both libraries warn at import and in their own operations
]


def torchao_8_bit():
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig())


FORMATS = {
    "int8": (torchao_8_bit, 1e-5),
    "4 bit": (lambda: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32), 1e-4),
    "8 bit": (lambda: BitsAndBytesConfig(load_in_8bit=True), 2e-2),
}
"""Format → how to load it, and how far its losses may be from those of the dequantized weights."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(directory)
    return directory


def quantized(base, kind, method):
    """Return a quantized model with adapters, the same at every call."""
    return adapted(AutoModelForCausalLM.from_pretrained(base, quantization_config=FORMATS[kind][0](), dtype=torch.float32), method)


@torch.no_grad()
def dequantized(base, kind, method):
    """Return the model of `quantized` with plain weights: what its layers make of unit vectors."""
    model, source = (AutoModelForCausalLM.from_pretrained(base, **more) for more in ({}, {"quantization_config": FORMATS[kind][0](), "dtype": torch.float32}))
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(source.get_submodule(name)(torch.eye(layer.in_features)).T)
    return adapted(model, method)


@torch.no_grad()
def adapted(model, method):
    torch.manual_seed(1)
    model = apply_method(model, method=FAMILIES["method"][method](type=method), task_type="CAUSAL_LM").eval()
    generator = torch.Generator().manual_seed(2)
    for parameter in trained(model):
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def closure_of(model):
    ids_BL = torch.randint(5, 50, (2, 8), generator=torch.Generator().manual_seed(1))
    return lambda: F.cross_entropy(model(input_ids=ids_BL).logits.float().flatten(0, 1), ids_BL.flatten())


def optimizer_of(model, **settings):
    return ZOSGD(trained(model), lr=1e-2, zo_eps=1e-2, num_directions=2, **settings)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("method", ["lora", "loretta_adp"])
def test_a_run_is_that_on_dequantized_weights_leaves_theta_alone_and_replays(base, kind, method, tmp_path):
    model, twin = quantized(base, kind, method), dequantized(base, kind, method)
    optimizer, other = optimizer_of(model), optimizer_of(twin)
    before = optimizer.storage.sha256()
    optimizer.probe(closure_of(model))
    assert optimizer.storage.sha256() == before
    optimizer.on_step = LogWriter(tmp_path / "log")
    losses = [[one.step(closure) for _ in range(3)] for one, closure in ((optimizer, closure_of(model)), (other, closure_of(twin)))]
    assert losses[0] == pytest.approx(losses[1], rel=FORMATS[kind][1])
    optimizer.on_step.flush()
    again = optimizer_of(quantized(base, kind, method))
    replay(read_log(tmp_path / "log"), again)
    assert torch.equal(again.theta, optimizer.theta)


@pytest.mark.parametrize("kind", ["int8", "4 bit"])
@pytest.mark.parametrize(("evaluator", "settings"), [(Batched, {}), (Population, {"directions": LowRank(rank=1)})])
def test_one_forward_is_several(base, kind, evaluator, settings):
    seen = []
    for together in (False, True):
        model = quantized(base, kind, "lora")
        optimizer = optimizer_of(model, **settings)
        if together:
            optimizer.evaluator = evaluator(model)
        seen.append([optimizer.step(closure_of(model)) for _ in range(2)])
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)


@pytest.mark.parametrize(("kind", "share"), [("int8", 0.3), ("4 bit", 0.2), ("8 bit", 0.3)])
def test_the_frozen_layers_keep_their_bytes(base, kind, share):
    """Four or eight bits a weight and its scales, also after steps: no plain copy of a weight stays."""
    model = quantized(base, kind, "lora")
    optimizer = optimizer_of(model)
    optimizer.step(closure_of(model))
    layers = [layer for name, layer in model.named_modules() if name.endswith(("q_proj.base_layer", "down_proj"))]
    assert len(layers) == 2
    held = {leaf.data_ptr(): leaf.numel() * leaf.element_size() for layer in layers for tensor in tensors_of(layer) for leaf in leaves(tensor)}
    assert sum(held.values()) <= share * 2 * 4 * 64 * 64


def tensors_of(layer):
    """Return every tensor that a layer holds, wherever its library stores it."""
    weight = layer.weight
    holders = [one for one in (weight, getattr(layer, "state", None), getattr(weight, "quant_state", None)) if one is not None]
    return [weight, *(value for holder in holders for value in vars(holder).values() if isinstance(value, torch.Tensor))]


def leaves(tensor):
    """Return the plain tensors that a tensor is made of."""
    parts = tensor.__tensor_flatten__()[0] if hasattr(tensor, "__tensor_flatten__") else ()
    return [leaf for name in parts for leaf in leaves(getattr(tensor, name))] or [tensor]
