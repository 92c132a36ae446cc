"""The laws that every fine-tuning method obeys: one table of all methods x all laws, on every architecture that the method supports."""

import pickle
from copy import deepcopy

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open

from loretta_core.adapters.build import METHODS, load_adapter, merge_adapter, save_adapter, trainable_parameter_count
from loretta_core.config import FAMILIES
from loretta_core.errors import MethodError
from loretta_core.support import refusal

QUICK = [("bert", "SEQ_CLS"), ("bert", "MASKED_LM"), ("llama", "SEQ_CLS"), ("llama", "CAUSAL_LM")]
BROAD = [
    *((model_type, task_type) for model_type in ("roberta", "deberta", "deberta-v2", "albert") for task_type in ("SEQ_CLS", "MASKED_LM")),
    *(("opt", task_type) for task_type in ("SEQ_CLS", "CAUSAL_LM")),
]
SIZES = {"bert": {}, "roberta": {}, "deberta": {}, "deberta-v2": {}, "opt": {}, "llama": {}, "albert": {"hidden_size": 32, "embedding_size": 16}}
VARIANTS = ["lora-dora", "prefix-projection", "ptune-lstm"]
NAMES = [*METHODS, *VARIANTS]
HEADS = ("classifier", "score")


def entry(name):
    return METHODS[name.partition("-")[0]]


PEFT_NAMES = [name for name in NAMES if entry(name).peft_config]
PROMPTS = [name for name in NAMES if name.startswith(("prompt", "prefix", "ptune"))]
NETWORKS = [name for name in PROMPTS if name not in ("prompt", "prefix")]
"""A small network computes the prompt; the saved adapter holds the prompt and not the network."""
TRAINED = {
    "loretta_adp": ".loretta_adp_block.",
    "loretta_rep": ".loretta_rep_block.",
    "adapters": ".bottleneck_block.",
    "lora": ".lora_",
    "ia3": ".ia3_l.",
    "prompt": "prompt_encoder.",
    "prefix": "prompt_encoder.",
    "ptune": "prompt_encoder.",
    "bitfit": ".bitfit_block.",
    "peft": ".vera_lambda_",
}


def assert_same(loaded, saved, name):
    """Bitwise; a network computes its prompt for the whole batch and stores it for one row, which rounds differently."""
    if name in NETWORKS:
        torch.testing.assert_close(loaded, saved, rtol=0, atol=1e-6 if loaded.dtype == torch.float32 else 1e-2)
    else:
        assert torch.equal(loaded, saved)


def _marks(quick_model: bool, plain: bool) -> list[pytest.MarkDecorator]:
    return [[pytest.mark.slow], [pytest.mark.integration], []][quick_model + plain]


def on(names, bases=(*QUICK, *BROAD)):
    """Parametrize over the given methods on all models where they work; what is neither BERT nor Llama, or no plain configuration, is not quick;
    what is neither, is slow."""
    cases = [
        pytest.param(*base, name, id=f"{name}-{'-'.join(base)}", marks=_marks(base in QUICK, name not in VARIANTS))
        for name in names
        for base in bases
        if refusal(name.partition("-")[0], model_type=base[0], head=base[1] == "SEQ_CLS", config=SIZES[base[0]]) is None
    ]
    return pytest.mark.parametrize(("model_type", "task_type", "name"), cases)


def test_the_table_holds_every_method_of_the_config():
    assert set(METHODS) == set(FAMILIES["method"])


def test_the_exemptions_from_identity():
    # Prompts and prefixes are a new input; `peft` may name any method.
    assert {name for name, method in METHODS.items() if not method.identity_at_init} == {"prompt", "prefix", "ptune", "peft"}


@on([name for name in NAMES if entry(name).identity_at_init])
def test_identity_at_init(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    if name == "lora-dora":  # W / |W| * |W| and orthogonal B A = 0 are exact up to rounding
        torch.testing.assert_close(case.logits(), case.logits(case.base), rtol=0, atol=1e-6)
    else:
        assert torch.equal(case.logits(), case.logits(case.base))


@on(PROMPTS)
def test_a_prompt_changes_the_logits_and_not_their_shape(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    before, after = case.logits(case.base), case.logits()
    assert after.shape == before.shape
    assert not torch.allclose(after, before)


@on(NAMES)
def test_only_declared_parameters_train(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    trainable = {key for key, parameter in case.model.named_parameters() if parameter.requires_grad}
    if name == "ft":
        assert trainable == {key for key, _ in case.model.named_parameters()}
        return
    norms = {key for key in trainable if ".trainable_norm." in key}
    heads = {key for key in trainable if ".modules_to_save." in key}
    assert bool(norms) == name.startswith("loretta")
    assert bool(heads) == (task_type == "SEQ_CLS")
    assert all(any(head in key for head in HEADS) for key in heads)
    rest = trainable - norms - heads
    assert rest
    assert all(TRAINED[case.method.type] in key for key in rest)
    assert all(parameter.dtype == torch.float32 for parameter in case.model.parameters() if parameter.requires_grad)


@on(NAMES)
def test_frozen_weights_stay_bitwise_and_every_trained_one_moves(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    before = {key: parameter.detach().clone() for key, parameter in case.model.named_parameters()}
    buffers = {key: buffer.clone() for key, buffer in case.model.named_buffers()}
    case.train()
    for key, parameter in case.model.named_parameters():
        assert torch.equal(before[key], parameter) != parameter.requires_grad, key
    assert all(torch.equal(buffers[key], buffer) for key, buffer in case.model.named_buffers())


@on(NAMES)
def test_no_dead_parameter_by_the_second_step(make_case, model_type, task_type, name):
    first, second = make_case(model_type, task_type, name).train(steps=2)
    assert not second
    if name == "ft":
        assert not first


@on(NAMES)
def test_save_and_load_give_identical_logits(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    save_adapter(case.model, tmp_path)
    fresh = deepcopy(case.base)
    with torch.no_grad():
        for key, parameter in fresh.named_parameters():
            if any(head in key for head in HEADS):
                parameter.normal_()  # a fresh process draws another random head
    loaded = load_adapter(fresh, method=case.method, directory=tmp_path).eval()
    assert_same(case.logits(loaded), case.logits(), name)
    assert not torch.equal(case.logits(), case.logits(case.base))
    assert trainable_parameter_count(loaded) == (0 if name in NETWORKS else trainable_parameter_count(case.model))


@on(PEFT_NAMES)
def test_plain_peft_loads_what_we_save(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    save_adapter(case.model, tmp_path)
    loaded = PeftModel.from_pretrained(deepcopy(case.base), str(tmp_path)).eval()
    logits = case.logits(loaded)
    if task_type != "SEQ_CLS":
        logits = logits[:, -case.ids_BL.shape[1] :]  # PEFT's own models give the rows of the virtual tokens first
    assert_same(logits, case.logits(), name)
    if name not in PROMPTS:  # PEFT leaves the embedding of a prompt trainable
        assert trainable_parameter_count(loaded) == 0


@on(NAMES)
def test_files_hold_tensors_only(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    save_adapter(case.model, tmp_path)
    weights = [path for path in tmp_path.iterdir() if path.suffix not in {".json", ".md"}]
    assert [path.suffix for path in weights] == [".safetensors"]
    with safe_open(weights[0], "pt") as file:
        keys = file.keys()
        stored = sum(file.get_tensor(key).numel() for key in keys)
    if name in NETWORKS:
        assert stored < trainable_parameter_count(case.model)
    elif name != "peft":  # VeRA stores its frozen random matrices as well
        assert stored == trainable_parameter_count(case.model)


@on([name for name in PEFT_NAMES if entry(name).merges])
def test_merged_equals_unmerged(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    logits = case.logits()
    merged = merge_adapter(case.model)
    assert type(merged) is type(case.base)
    torch.testing.assert_close(case.logits(merged), logits, rtol=0, atol=1e-5)


@on([name for name in PEFT_NAMES if not entry(name).merges])
def test_what_cannot_be_merged_says_why_and_stays_usable(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    logits = case.logits()
    reason = "is an input" if name in PROMPTS else "non-linearity"
    with pytest.raises(MethodError, match=reason):
        case.model.merge_and_unload()
    with pytest.raises(MethodError, match=reason):
        case.model.merge_adapter()
    assert torch.equal(case.logits(), logits)


@on(PEFT_NAMES)
def test_disable_restores_the_base_exactly(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    adapted = case.logits()
    trainable = trainable_parameter_count(case.model)
    with case.model.disable_adapter():
        assert torch.equal(case.logits(), case.logits(case.base))
    assert torch.equal(case.logits(), adapted)
    with pytest.raises(RuntimeError, match="inside"), case.model.disable_adapter():
        raise RuntimeError("inside")
    assert torch.equal(case.logits(), adapted)
    assert trainable_parameter_count(case.model) == trainable


@on(["loretta_rep", "bitfit"])
def test_unmerging_restores_the_base_bitwise(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    case.train()
    case.model.merge_adapter()
    with case.model.disable_adapter():
        assert torch.equal(case.logits(), case.logits(case.base))


RUN_IN_BF16 = [base for base in (*QUICK, *BROAD) if base[0] != "deberta"]
"""transformers 5.23 keeps q_bias of DeBERTa v1 in fp32: the base itself does not run in bf16."""


@on(NAMES, RUN_IN_BF16)
def test_bf16_base_trains(make_case, model_type, task_type, name):
    case = make_case(model_type, task_type, name, dtype=torch.bfloat16)
    if entry(name).identity_at_init:
        torch.testing.assert_close(case.logits().float(), case.logits(case.base).float(), rtol=0, atol=3e-2)
    before = case.logits()
    _, dead = case.train()
    assert not dead
    assert not torch.equal(case.logits(), before)
    trainable = {parameter.dtype for parameter in case.model.parameters() if parameter.requires_grad}
    assert trainable == {torch.bfloat16 if name == "ft" else torch.float32}


@on(NAMES, [base for base in RUN_IN_BF16 if base[1] == "SEQ_CLS"])
def test_bf16_base_reloads_without_rounding(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name, dtype=torch.bfloat16)
    case.train()
    save_adapter(case.model, tmp_path)
    loaded = load_adapter(deepcopy(case.base), method=case.method, directory=tmp_path).eval()
    assert_same(case.logits(loaded), case.logits(), name)


@on(NAMES)
@pytest.mark.parametrize("clone", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"])  # noqa: S301
def test_models_can_be_copied_and_sent(make_case, model_type, task_type, name, clone):
    case = make_case(model_type, task_type, name)
    case.train()
    twin = clone(case.model)
    assert torch.equal(case.logits(twin), case.logits())
    for parameter in twin.parameters():
        parameter.data.zero_()
    assert case.logits().any()
