"""Options of the LoRETTA methods: the exact noise subtraction, biases, warm starts, linear layers stored transposed."""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

from loretta_core import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig, warm_start
from loretta_core.adapters.build import trainable_parameter_count
from loretta_core.errors import MethodError


def train(model, token_ids, *, steps=2):
    """Take AdamW steps on a made-up loss; return the names without gradient at the last of them."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=token_ids).logits.square().sum().backward()
        dead = [name for name, parameter in trainable.items() if parameter.grad is None or not parameter.grad.any()]
        optimizer.step()
    return dead


def subtracting(**settings):
    return LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=3, r=4, init_weights="subtract", **settings)


def test_subtraction_starts_as_the_base_and_every_core_has_a_gradient_at_once(tiny, token_ids):
    base = tiny("bert")
    model = get_peft_model(deepcopy(base), subtracting()).eval()
    assert torch.equal(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits)
    assert train(model, token_ids, steps=1) == []
    blocks = [module for name, module in model.named_modules() if name.endswith("query.loretta_rep_block.default")]
    assert all(core.any() for block in blocks for core in block.B.cores)


def test_subtraction_trains_saves_and_merges_exactly(tiny, token_ids, tmp_path):
    base = tiny("bert")
    model = get_peft_model(deepcopy(base), subtracting())
    plain = get_peft_model(tiny("bert"), LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=3, r=4))
    assert trainable_parameter_count(model) == trainable_parameter_count(plain)  # the frozen start is not trained
    before = {name: buffer.clone() for name, buffer in model.named_buffers() if ".start_" in name}
    assert before
    train(model.train(), token_ids)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers() if ".start_" in name)
    logits = model.eval()(input_ids=token_ids).logits
    assert not torch.equal(logits, base(input_ids=token_ids).logits)

    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    torch.manual_seed(1)  # the start is in the file, not in the seed
    loaded = PeftModel.from_pretrained(deepcopy(base), str(tmp_path)).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, logits)
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(merged(input_ids=token_ids).logits, logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config_cls", [LorettaAdpConfig, BottleneckConfig])
@pytest.mark.parametrize(("adapter_bias", "per_site"), [("both", 8 + 32), ("down", 8), ("none", 0)])
def test_biases_of_adapters_are_selectable(tiny, token_ids, config_cls, adapter_bias, per_site):
    base = tiny("bert", task_type="MASKED_LM")
    model = get_peft_model(deepcopy(base), config_cls(bottleneck_size=8, adapter_bias=adapter_bias, train_norms=False))
    biases = [parameter for name, parameter in model.named_parameters() if parameter.requires_grad and name.endswith("bias")]
    assert sum(parameter.numel() for parameter in biases) == 4 * per_site
    assert torch.equal(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits)
    assert train(model, token_ids) == []


class TestWarmStart:
    PATH = "bert.encoder.layer.0.attention.self.query"

    def delta(self, rank):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(32, rank, generator=generator) @ torch.randn(rank, 32, generator=generator)

    def make(self, tiny, **settings):
        return get_peft_model(tiny("bert"), LorettaRepConfig(task_type="SEQ_CLS", r=4, train_norms=False, **settings)).eval()

    def test_a_delta_within_the_ranks_is_taken_over_exactly(self, tiny, token_ids):
        base = tiny("bert")
        model = self.make(tiny, tensor_rank=8)  # all that the unfoldings of 32 x 4 can hold
        delta = self.delta(rank=4)
        errors = warm_start(model, {self.PATH: delta})
        assert errors.keys() == {self.PATH}
        assert errors[self.PATH] < 1e-5
        with torch.no_grad():
            base.get_submodule(self.PATH).weight.add_(delta)
        torch.testing.assert_close(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits, rtol=0, atol=1e-5)

    def test_what_is_lost_is_reported(self, tiny):
        model = self.make(tiny, tensor_rank=2)
        delta = self.delta(rank=8)
        error = warm_start(model, {self.PATH: delta})[self.PATH]
        layer = model.get_submodule(f"base_model.model.{self.PATH}")
        assert error == pytest.approx(((layer.blocks["default"].delta_weight() - delta).norm() / delta.norm()).item(), rel=1e-4)
        assert 0.1 < error < 1.0

    @pytest.mark.parametrize(
        ("path", "size", "message"),
        [
            ("bert.encoder.layer.0.attention.self.key", (32, 32), r"'bert.*key' has no loretta_rep update of the adapter 'default'; there are: .*query"),
            (PATH, (32, 31), r"is \(32, 31\), but the layer is \(32, 32\)"),
        ],
    )
    def test_what_does_not_fit_changes_nothing(self, tiny, path, size, message):
        model = self.make(tiny, tensor_rank=2)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(MethodError, match=message):
            warm_start(model, {self.PATH: self.delta(rank=2), path: torch.ones(size)})
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_not_with_subtraction(self, tiny):
        model = get_peft_model(tiny("bert"), subtracting())
        with pytest.raises(MethodError, match="needs init_weights = 'zero'"):
            warm_start(model, {self.PATH: self.delta(rank=2)})


@pytest.mark.parametrize("config", [LorettaAdpConfig(), BottleneckConfig()], ids=lambda config: str(config.peft_type.value))
def test_weighted_sums_of_non_linear_adapters_are_refused(tiny, config):
    model = get_peft_model(tiny("bert"), config)
    with pytest.raises(MethodError, match=r"has no add_weighted_adapter.*Activate several adapters together"):
        model.add_weighted_adapter(["default"], [1.0], "mixed")


@pytest.mark.parametrize(
    "config",
    [
        LorettaAdpConfig(target_modules=["mlp.c_proj"], bottleneck_size=8, tensor_rank=2),
        LorettaRepConfig(target_modules=["c_attn"], r=4, tensor_rank=2),
        BottleneckConfig(target_modules=["mlp.c_proj"], bottleneck_size=8),
    ],
    ids=lambda config: str(config.peft_type.value),
)
def test_layers_that_store_their_weight_transposed(token_ids, config):
    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4, n_positions=16, bos_token_id=1, eos_token_id=2)).eval()
    model = get_peft_model(deepcopy(base), deepcopy(config)).eval()
    assert torch.equal(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits)
    assert train(model, token_ids) == []
    logits = model(input_ids=token_ids).logits
    if isinstance(config, LorettaRepConfig):
        model.merge_adapter()
        torch.testing.assert_close(model(input_ids=token_ids).logits, logits, rtol=0, atol=1e-5)
        model.unmerge_adapter()
        merged = model.merge_and_unload()
        torch.testing.assert_close(merged(input_ids=token_ids).logits, logits, rtol=0, atol=1e-5)


def test_roberta_heads_survive_merging(tiny, token_ids):
    model = get_peft_model(tiny("roberta"), LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4))
    train(model, token_ids)
    logits = model.eval()(input_ids=token_ids).logits
    torch.testing.assert_close(model.merge_and_unload()(input_ids=token_ids).logits, logits, rtol=0, atol=1e-5)
