"""The laws that every fine-tuning method obeys: one table of all methods x all laws, on every architecture that the method supports.

A law is a function of a `Case`. On one model each law has a test of its own; on the others one test walks through all of them with the same case, trained
once: the laws that look at a fresh model come first, those that use the model up come last.
"""

import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open

from loretta_core.adapters.build import load_adapter, merge_adapter, trainable_parameter_count
from loretta_core.adapters.tuners.backbone.norms import is_norm
from loretta_core.config import FAMILIES
from loretta_core.errors import MethodError
from loretta_core.methods import METHODS
from loretta_core.sites import ARCHITECTURES, BY_RULE, DECODERS
from loretta_core.support import refusal
from tests import by_rule
from tests.laws.conftest import CONFIGS, Case, tasks_of

ONE_BY_ONE = [("bert", "SEQ_CLS")]
QUICK = [("llama", "CAUSAL_LM"), ("bert", "MASKED_LM"), ("llama", "SEQ_CLS")]
OTHERS = [model_type for model_type in ARCHITECTURES if model_type not in ("bert", "llama")]
ALIKE = ("xlm-roberta", "electra", "deberta", "phi", "mistral", "qwen3", "gemma")
"""Architectures with another here whose layers have the same names or the same kinds."""
BROAD = [(model_type, "CAUSAL_LM" if model_type in DECODERS else "SEQ_CLS") for model_type in OTHERS if model_type not in ALIKE]
"""The task that most methods support: prompts do not go with a decoder's classification head."""
BROADER = [(model_type, task_type) for model_type in OTHERS for task_type in tasks_of(model_type) if (model_type, task_type) not in BROAD]
BROAD_BF16 = [(model_type, "SEQ_CLS") for model_type in OTHERS if model_type != "deberta"]
"""transformers 5.23 keeps q_bias of DeBERTa v1 in fp32: the base itself does not run in bf16."""
FOUND = [(model_type, task_type) for model_type in BY_RULE if model_type not in by_rule.NOT_TEXT for task_type in tasks_of(model_type)]
"""Architectures whose layers the structural rule finds."""
NOT_ALL_LINEAR = {"mamba", "distilbert"}
"""PEFT's `all-linear` takes a layer whose weight is read past it, and a part of the head that it also saves."""
FOUND_QUICKLY = {("gemma2", "CAUSAL_LM", "loretta_adp"), ("modernbert", "SEQ_CLS", "loretta_rep"), ("mixtral", "CAUSAL_LM", "loretta_adp")}
VARIANTS = ["lora-dora", "tt_lora-dota", "prompt-vocabulary", "prefix-projection", "ptune-lstm"]
NAMES = [*METHODS, *VARIANTS]
HEADS = ("classifier", "score", "classification_head")


def entry(name):
    return METHODS[name.partition("-")[0]]


PROMPTS = [name for name in NAMES if name.startswith(("prompt", "prefix", "ptune"))]
NETWORKS = [name for name in PROMPTS if name.startswith("ptune") or name == "prefix-projection"]
"""A small network computes the prompt; the saved adapter holds the prompt and not the network."""
FAMILY = ["tt_lora", "tt_lora-dota", "metatt", "lorta", "tensorguide"]
TRAINED = {
    "loretta_adp": ".loretta_adp_block.",
    "tt_lora": ".tt_lora_block.",
    "metatt": ".metatt_block.",
    "lorta": ".lorta_block.",
    "tensorguide": ".tensorguide_block.",
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


def starts_as_its_base(case: Case, directory: Path) -> None:
    if case.name == "lora-dora":  # W / |W| * |W| and orthogonal B A = 0 are exact up to rounding
        torch.testing.assert_close(case.logits(), case.plain, rtol=0, atol=1e-6)
    else:
        assert case.same(case.logits(), case.plain)


def a_prompt_changes_the_logits_and_not_their_shape(case: Case, directory: Path) -> None:
    before, after = case.plain, case.logits()
    assert after.shape == before.shape
    assert not torch.allclose(after, before)


def only_declared_parameters_train(case: Case, directory: Path) -> None:
    trainable = {key for key, parameter in case.model.named_parameters() if parameter.requires_grad}
    if case.name == "ft":
        assert trainable == {key for key, _ in case.model.named_parameters()}
        return
    norms = {key for key in trainable if "_norm.default." in key}
    heads = {key for key in trainable if ".modules_to_save." in key}
    assert bool(norms) == (case.name.startswith("loretta") and any(map(is_norm, case.base.modules())))  # OLMo's have no weights
    assert bool(heads) == (case.task_type == "SEQ_CLS")
    assert all(any(head in key for head in HEADS) for key in heads)
    rest = trainable - norms - heads
    assert rest
    assert all(TRAINED[case.method.type] in key for key in rest)
    assert all(parameter.dtype == torch.float32 for parameter in case.model.parameters() if parameter.requires_grad)


def frozen_weights_stay_bitwise_and_every_trained_one_moves(case: Case, directory: Path) -> None:
    case.train()
    for key, parameter in case.model.named_parameters():
        assert torch.equal(case.before[key], parameter) != parameter.requires_grad, key
    assert all(torch.equal(case.before[key], buffer) for key, buffer in case.model.named_buffers())


def no_parameter_is_dead_by_the_second_step(case: Case, directory: Path) -> None:
    case.train()
    first, second = case.dead
    assert not second
    if case.name == "ft":
        assert not first


def save_and_load_give_identical_logits(case: Case, directory: Path) -> None:
    tuned = case.train()
    case.save(directory)
    fresh = deepcopy(case.base)
    with torch.no_grad():
        for key, parameter in fresh.named_parameters():
            if any(head in key for head in HEADS):
                parameter.normal_()  # a fresh process draws another random head
    loaded = load_adapter(fresh, method=case.method, directory=directory).eval()
    assert_same(case, case.logits(loaded))
    assert not torch.equal(tuned, case.plain)
    assert trainable_parameter_count(loaded) == (0 if case.name in NETWORKS else trainable_parameter_count(case.model))


def plain_peft_loads_what_we_save(case: Case, directory: Path) -> None:
    case.train()
    case.save(directory)
    loaded = PeftModel.from_pretrained(deepcopy(case.base), str(directory)).eval()
    logits = case.logits(loaded)
    if case.task_type != "SEQ_CLS":
        logits = logits[:, -case.ids_BL.shape[1] :]  # PEFT's own models give the rows of the virtual tokens first
    assert_same(case, logits)
    if case.name not in PROMPTS:  # PEFT leaves the embedding of a prompt trainable
        assert trainable_parameter_count(loaded) == 0


def assert_same(case: Case, loaded: torch.Tensor) -> None:
    """Assert the trained model's logits; a network computes its prompt for the whole batch and stores it for one row, which rounds differently."""
    if case.name in NETWORKS:
        torch.testing.assert_close(loaded, case.train(), rtol=0, atol=1e-6 if loaded.dtype == torch.float32 else 1e-2)
    else:
        assert case.same(loaded, case.train())


def files_hold_tensors_only(case: Case, directory: Path) -> None:
    case.save(directory)
    weights = [path for path in directory.iterdir() if path.suffix not in {".json", ".md"}]
    assert [path.suffix for path in weights] == [".safetensors"]
    with safe_open(weights[0], "pt") as file:
        keys = file.keys()
        stored = sum(file.get_tensor(key).numel() for key in keys)
    if case.name in NETWORKS:
        assert stored < trainable_parameter_count(case.model)
    elif case.name not in ("peft", "tt_lora-dota"):  # VeRA stores its frozen random matrices as well, DoTA what the update started from
        whole = case.model.state_dict() if case.name == "ft" else {}
        buffers = sum(whole[key].numel() for key, _ in case.model.named_buffers() if key in whole)  # DeepSeek's router has one
        assert stored == trainable_parameter_count(case.model) + buffers


def disabling_restores_the_base_exactly(case: Case, directory: Path) -> None:
    adapted = case.train()
    trainable = trainable_parameter_count(case.model)
    with case.model.disable_adapter():
        assert case.same(case.logits(), case.plain)
    assert case.same(case.logits(), adapted)
    with pytest.raises(RuntimeError, match="inside"), case.model.disable_adapter():
        raise RuntimeError("inside")
    assert case.same(case.logits(), adapted)
    assert trainable_parameter_count(case.model) == trainable


def copies_and_pickles_are_the_same_and_apart(case: Case, directory: Path) -> None:
    logits = case.train()
    for twin in (deepcopy(case.model), pickle.loads(pickle.dumps(case.model))):  # noqa: S301
        assert case.same(case.logits(twin), logits)
        for parameter in twin.parameters():
            parameter.data.zero_()
    assert case.same(case.logits(), logits)


def unmerging_restores_the_base_bitwise(case: Case, directory: Path) -> None:
    case.train()
    case.model.merge_adapter()
    with case.model.disable_adapter():
        assert case.same(case.logits(), case.plain)


def what_cannot_be_merged_says_why_and_stays_usable(case: Case, directory: Path) -> None:
    logits = case.train()
    reason = "is an input" if case.name in PROMPTS else "non-linearity"
    with pytest.raises(MethodError, match=reason):
        case.model.merge_and_unload()
    with pytest.raises(MethodError, match=reason):
        case.model.merge_adapter()
    assert case.same(case.logits(), logits)


def merged_equals_unmerged(case: Case, directory: Path) -> None:
    logits = case.train()
    merged = merge_adapter(case.model)
    assert type(merged) is type(case.base)
    torch.testing.assert_close(case.logits(merged), logits, rtol=0, atol=1e-5)


Law = Callable[[Case, Path], None]
LAWS: dict[Law, list[str]] = {
    starts_as_its_base: [name for name in NAMES if entry(name).identity_at_init],
    a_prompt_changes_the_logits_and_not_their_shape: PROMPTS,
    only_declared_parameters_train: NAMES,
    frozen_weights_stay_bitwise_and_every_trained_one_moves: NAMES,
    no_parameter_is_dead_by_the_second_step: NAMES,
    save_and_load_give_identical_logits: NAMES,
    plain_peft_loads_what_we_save: [name for name in NAMES if entry(name).peft_config],
    files_hold_tensors_only: NAMES,
    disabling_restores_the_base_exactly: [name for name in NAMES if entry(name).peft_config],
    copies_and_pickles_are_the_same_and_apart: NAMES,
    unmerging_restores_the_base_bitwise: ["loretta_rep", *FAMILY, "bitfit"],
    what_cannot_be_merged_says_why_and_stays_usable: [name for name in NAMES if entry(name).peft_config and not entry(name).merges],
    merged_equals_unmerged: [name for name in NAMES if entry(name).peft_config and entry(name).merges],
}
"""law → the methods that it binds"""


def works(model_type, task_type, name):
    if name == "peft" and model_type in NOT_ALL_LINEAR:
        return False
    config = (CONFIGS | by_rule.CONFIGS)[model_type]
    return refusal(name.partition("-")[0], model_type=model_type, head=task_type == "SEQ_CLS", config=config) is None


def marks(base, name, *, broad=BROAD):
    """Return pytest marks. Neither BERT nor Llama, or no plain configuration: not quick; both, the second task of a model, the rule's, or the family: slow."""
    if base in FOUND:
        return [] if (*base, name) in FOUND_QUICKLY else [pytest.mark.slow]
    first = 0 if base in (*ONE_BY_ONE, *QUICK) else 1 if base in broad and name not in FAMILY else 2
    return [[], [pytest.mark.integration], [pytest.mark.slow], [pytest.mark.slow]][first + (name in VARIANTS)]


def on(bases, *, broad=BROAD):
    """Parametrize over all methods on the models where they work."""
    cases = [
        pytest.param(*base, name, id=f"{name}-{'-'.join(base)}", marks=marks(base, name, broad=broad)) for base in bases for name in NAMES if works(*base, name)
    ]
    return pytest.mark.parametrize(("model_type", "task_type", "name"), cases)


def test_the_table_holds_every_method_of_the_config():
    assert set(METHODS) == set(FAMILIES["method"])
    assert set(CONFIGS) == set(ARCHITECTURES)


def test_the_exemptions_from_identity():
    # Prompts and prefixes are a new input; `peft` may name any method.
    assert {name for name, method in METHODS.items() if not method.identity_at_init} == {"prompt", "prefix", "ptune", "peft"}


@pytest.mark.parametrize(
    ("law", "model_type", "task_type", "name"),
    [
        pytest.param(law, *base, name, id=f"{law.__name__}-{name}-{'-'.join(base)}", marks=marks(base, name))
        for law, names in LAWS.items()
        for base in ONE_BY_ONE
        for name in names
        if works(*base, name)
    ],
)
def test_every_method_is_accepted_by_a_law(make_case, tmp_path, law, model_type, task_type, name):
    law(make_case(model_type, task_type, name), tmp_path)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")  # PEFT's warning on GPT-2 for a method of `peft`
@pytest.mark.filterwarnings("ignore:.*are 3-D parameters and no linear layers:UserWarning")
@on([*QUICK, *BROAD, *BROADER, *FOUND])
def test_a_case_is_accepted_by_all_laws_in_one_walk(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    for law, names in LAWS.items():
        if name in names:
            law(case, tmp_path)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")
@on([*ONE_BY_ONE, *QUICK, *BROAD_BF16], broad=())
def test_a_bf16_base_trains_and_reloads_without_rounding(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name, dtype=torch.bfloat16)
    if entry(name).identity_at_init:
        torch.testing.assert_close(case.logits().float(), case.plain.float(), rtol=0, atol=3e-2)
    before = case.logits()
    case.train()
    assert not case.dead[-1]
    assert not torch.equal(case.train(), before)
    trainable = {parameter.dtype for parameter in case.model.parameters() if parameter.requires_grad}
    assert trainable == {torch.bfloat16 if name == "ft" else torch.float32}
    case.save(tmp_path)
    assert_same(case, case.logits(load_adapter(deepcopy(case.base), method=case.method, directory=tmp_path).eval()))
