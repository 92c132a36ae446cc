"""Methods attach where the site table says, on every architecture of the table."""

from copy import deepcopy

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from loretta_core.adapters.build import apply_method, trainable_parameter_count
from loretta_core.adapters.tuners.bottleneck_base import BottleneckLayer
from loretta_core.adapters.tuners.trainable_norms import TrainableNorm
from loretta_core.config.method import Adapters, Lora, LorettaAdp, LorettaRep
from loretta_core.methods.targets import sites_for
from loretta_core.sites import ARCHITECTURES
from loretta_core.support import refusal

METHODS = {
    "loretta_adp": LorettaAdp(type="loretta_adp", tensor_rank=2, bottleneck_size=8),
    "loretta_rep": LorettaRep(type="loretta_rep", tensor_rank=2, r=4),
    "lora": Lora(type="lora", r=4),
    "adapters": Adapters(type="adapters", bottleneck_size=8),
}


def layers_of(model):
    return {path: module for path, module in model.named_modules() if isinstance(module, BaseTunerLayer) and not isinstance(module, TrainableNorm)}


@pytest.mark.parametrize(
    ("model_type", "method"),
    [(model_type, method) for model_type in ARCHITECTURES for method in METHODS if refusal(method, model_type=model_type, head=True) is None],
)
def test_sites_identity_and_gradients(tiny, token_ids, model_type, method):
    base = tiny(model_type)
    model = apply_method(deepcopy(base), method=METHODS[method], task_type="SEQ_CLS")
    # T5's logits differ by one rounding between two copies of the same model.
    torch.testing.assert_close(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits, rtol=0, atol=1e-6 if model_type == "t5" else 0)

    names = sites_for(model_type, method).names
    layers = layers_of(model)
    passes = 1 if model_type == "albert" else 2
    found = {name: [path for path in layers if path.endswith(f".{name}")] for name in names}
    expected = 4 if names == ("output.dense",) else passes  # BERT-like: attention.output.dense and output.dense
    if model_type == "t5":  # two encoder layers, two decoder layers with two attentions each
        assert {name: len(paths) for name, paths in found.items()} == {name: 4 if name == "wo" else 6 for name in names}
    else:
        assert {name: len(paths) for name, paths in found.items()} == dict.fromkeys(names, expected)
    assert len(layers) == sum(map(len, found.values()))

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model(input_ids=token_ids).logits.square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())]
    assert not any(parameter.grad is not None for parameter in model.parameters() if not parameter.requires_grad)


@pytest.mark.parametrize(("model_type", "sides"), [("opt", {"fc1": True, "fc2": False}), ("llama", {"gate_proj": True, "up_proj": True, "down_proj": False})])
def test_adapters_sit_on_the_side_of_the_hidden_width(tiny, model_type, sides):
    model = apply_method(tiny(model_type), method=METHODS["loretta_adp"], task_type="SEQ_CLS")
    for path, layer in layers_of(model).items():
        assert isinstance(layer, BottleneckLayer)
        assert layer.on_input == sides[path.rpartition(".")[2]]
        assert layer.width == 32


@pytest.mark.parametrize("model_type", [name for name in ARCHITECTURES if refusal("loretta_rep", model_type=name, head=True) is None])
def test_every_norm_trains_whatever_its_name(tiny, model_type):
    base = tiny(model_type)
    norms = {path for path, module in base.named_modules() if "Norm" in type(module).__name__}
    model = apply_method(base, method=METHODS["loretta_rep"], task_type="SEQ_CLS")
    wrapped = {path.removeprefix("base_model.model.") for path, module in model.named_modules() if isinstance(module, TrainableNorm)}
    assert wrapped == norms
    assert norms
    assert all(parameter.requires_grad for name, parameter in model.named_parameters() if "loretta_rep_norm." in name)


def test_norms_can_be_left_alone_and_added_to_dense_adapters(tiny):
    plain = apply_method(tiny("bert"), method=LorettaRep(type="loretta_rep", train_norms=False), task_type="SEQ_CLS")
    assert not [module for module in plain.modules() if isinstance(module, TrainableNorm)]
    dense = apply_method(tiny("bert"), method=Adapters(type="adapters", train_norms=True), task_type="SEQ_CLS")
    assert len([module for module in dense.modules() if isinstance(module, TrainableNorm)]) == 5


def test_grouped_query_attention_has_updates_of_two_widths(tiny):
    model = apply_method(tiny("llama"), method=METHODS["loretta_rep"], task_type="SEQ_CLS")
    assert {path.rpartition(".")[2]: layer.out_features for path, layer in layers_of(model).items()} == {"q_proj": 32, "v_proj": 16}


def test_tied_embeddings_stay_frozen(tiny):
    # The authors' package trained everything here: a stale loop variable met the tied name.
    model = apply_method(tiny("llama", task_type="CAUSAL_LM", tie_word_embeddings=True), method=METHODS["loretta_adp"], task_type="CAUSAL_LM")
    assert not any(parameter.requires_grad for name, parameter in model.named_parameters() if "embed" in name or "lm_head" in name)


@pytest.mark.parametrize(
    ("method", "count"),
    [
        # 24 sites x (768x64 and its mirror 2 x 700, biases 64 + 768) + 25 norms x 1,536 + classifier 1,538
        (LorettaAdp(type="loretta_adp"), 24 * (2 * 700 + 64 + 768) + 38_400 + 1_538),
        # 24 sites x (A: 12,8,8,8 with the last rank 5 = 500, B its mirror)
        (LorettaRep(type="loretta_rep"), 24 * 2 * 500 + 38_400 + 1_538),
        (Lora(type="lora"), 24 * 2 * 8 * 768 + 1_538),
        (Adapters(type="adapters"), 24 * (2 * 768 * 64 + 64 + 768) + 1_538),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_counts_at_the_size_of_bert_base(tiny, method, count):
    with torch.device("meta"):
        base = tiny("bert", vocab_size=30_522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
        model = apply_method(base, method=method, task_type="SEQ_CLS")
    assert trainable_parameter_count(model) == count


def test_shared_layers_share_their_adapters(tiny):
    one, many = (apply_method(tiny("albert", num_hidden_layers=depth), method=METHODS["loretta_adp"], task_type="SEQ_CLS") for depth in (1, 6))
    assert trainable_parameter_count(one) == trainable_parameter_count(many)
