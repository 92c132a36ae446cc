"""Our methods as PEFT citizens: several adapters in one model, switching, deleting, unloading, generating."""

from copy import deepcopy

import pytest
import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.tuners.trainable_norms import TrainableNorm
from loretta_core.errors import MethodError

CONFIGS = {
    "LORETTA_ADP": lambda: LorettaAdpConfig(task_type="SEQ_CLS", tensor_rank=2, bottleneck_size=8),
    "LORETTA_REP": lambda: LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4),
    "BOTTLENECK": lambda: BottleneckConfig(task_type="SEQ_CLS", bottleneck_size=8, train_norms=True),
}


@torch.no_grad()
def move(model):
    """Change everything that trains, in place of training."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.fixture(params=CONFIGS)
def make_config(request):
    return CONFIGS[request.param]


def test_types_are_registered(make_config):
    config = make_config()
    assert config.peft_type in PeftType
    assert PeftType(str(config.peft_type.value)) is config.peft_type


def test_configs_round_trip(make_config, tmp_path):
    config = make_config()
    config.save_pretrained(str(tmp_path))
    assert PeftConfig.from_pretrained(str(tmp_path)) == config


def test_two_adapters_do_not_disturb_each_other(tiny, token_ids, make_config, tmp_path):
    base = tiny("bert")
    plain = base(input_ids=token_ids).logits
    model = get_peft_model(deepcopy(base), make_config(), adapter_name="first").eval()
    move(model)
    first = model(input_ids=token_ids).logits
    model.add_adapter("second", make_config())
    assert torch.equal(model(input_ids=token_ids).logits, first)

    model.set_adapter("second")
    assert torch.equal(model(input_ids=token_ids).logits, plain)
    assert all(".second." in name for name, parameter in model.named_parameters() if parameter.requires_grad)
    move(model)
    second = model(input_ids=token_ids).logits
    assert not torch.equal(second, first)

    model.set_adapter("first")
    assert torch.equal(model(input_ids=token_ids).logits, first)
    assert all(".first." in name for name, parameter in model.named_parameters() if parameter.requires_grad)

    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(deepcopy(base), str(tmp_path / "first"), adapter_name="renamed").eval()
    loaded.load_adapter(str(tmp_path / "second"), adapter_name="other")
    assert torch.equal(loaded(input_ids=token_ids).logits, first)
    loaded.set_adapter("other")
    assert torch.equal(loaded(input_ids=token_ids).logits, second)

    model.set_adapter("second")
    model.delete_adapter("first")
    assert torch.equal(model(input_ids=token_ids).logits, second)
    assert not [name for name, _ in model.named_parameters() if ".first." in name]


def test_unload_gives_the_base_back(tiny, token_ids, make_config):
    base = tiny("bert", task_type="MASKED_LM")
    config = make_config()
    config.task_type = None  # without a head: PEFT's `unload` keeps a trained classifier
    model = get_peft_model(deepcopy(base), config)
    move(model)
    unloaded = model.unload()
    assert torch.equal(unloaded(input_ids=token_ids).logits, base(input_ids=token_ids).logits)
    assert {name for name, _ in unloaded.named_parameters()} == {name for name, _ in base.named_parameters()}


def test_merging_in_place_and_back(tiny, token_ids):
    base = tiny("bert")
    model = get_peft_model(deepcopy(base), CONFIGS["LORETTA_REP"]()).eval()
    move(model)
    adapted = model(input_ids=token_ids).logits
    model.merge_adapter()
    torch.testing.assert_close(model(input_ids=token_ids).logits, adapted, rtol=0, atol=1e-5)
    model.unmerge_adapter()
    assert torch.equal(model(input_ids=token_ids).logits, adapted)
    restored = dict(base.named_parameters())
    for name, parameter in model.named_parameters():
        if ".base_layer." in name:
            assert torch.equal(parameter, restored[name.removeprefix("base_model.model.").replace(".base_layer", "")])


def test_a_broken_adapter_is_not_merged(tiny):
    model = get_peft_model(tiny("bert"), CONFIGS["LORETTA_REP"]())
    move(model)
    with torch.no_grad():
        next(parameter for name, parameter in model.named_parameters() if "block" in name).fill_(torch.nan)
    with pytest.raises(MethodError, match="not finite"):
        model.merge_and_unload(safe_merge=True)


def test_loading_for_inference_leaves_nothing_trainable_unless_asked(tiny, make_config, tmp_path):
    model = get_peft_model(tiny("bert"), make_config())
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    for is_trainable in (False, True):
        loaded = PeftModel.from_pretrained(tiny("bert"), str(tmp_path), is_trainable=is_trainable)
        trainable = [name for name, parameter in loaded.named_parameters() if parameter.requires_grad]
        assert bool(trainable) == is_trainable
        assert any("_norm.default." in name for name in trainable) == is_trainable


def test_low_memory_loading(tiny, token_ids, make_config, tmp_path):
    model = get_peft_model(tiny("bert"), make_config()).eval()
    move(model)
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    fresh = tiny("bert")
    loaded = PeftModel.from_pretrained(fresh, str(tmp_path), low_cpu_mem_usage=True).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits)


def test_generation(tiny, token_ids):
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LorettaAdpConfig(task_type="CAUSAL_LM", tensor_rank=2, bottleneck_size=8)).eval()
    move(model)
    generated = model.generate(input_ids=token_ids, attention_mask=torch.ones_like(token_ids), max_new_tokens=4, do_sample=False)
    assert generated.shape == (3, 10)


def test_gradient_checkpointing_gives_the_same_gradients(tiny, token_ids):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = get_peft_model(tiny("llama"), CONFIGS["LORETTA_ADP"]()).train()
        if checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model(input_ids=token_ids).logits.square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad})
    torch.testing.assert_close(gradients[0], gradients[1])


def test_casting_the_whole_model_to_bf16_works(tiny, token_ids, make_config):
    model = get_peft_model(tiny("bert"), make_config()).to(torch.bfloat16)
    model(input_ids=token_ids).logits.sum().backward()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_two_active_adapters_add_up(tiny, token_ids):
    config = LorettaRepConfig(tensor_rank=2, r=4, train_norms=False)
    model = get_peft_model(tiny("bert", task_type="MASKED_LM"), config, adapter_name="first").eval()
    move(model)
    model.add_adapter("second", config)
    both = model.base_model
    both.set_adapter(["first", "second"])
    move(model)
    summed = model(input_ids=token_ids).logits
    merged = both.merge_and_unload(adapter_names=["first", "second"])
    torch.testing.assert_close(merged(input_ids=token_ids).logits, summed, rtol=0, atol=1e-4)


def test_norm_copies_belong_to_the_adapter_and_are_fp32(tiny):
    model = get_peft_model(tiny("llama").to(torch.bfloat16), CONFIGS["LORETTA_REP"]())
    norms = [module for module in model.modules() if isinstance(module, TrainableNorm)]
    assert len(norms) == 5
    assert all(norm.blocks["default"].weight.dtype == torch.float32 and norm.base_layer.weight.dtype == torch.bfloat16 for norm in norms)
