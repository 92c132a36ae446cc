"""The ways in which people use LoRA hold for every method that injects layers: LoRA is one of the methods here, and what it gives the others give.

A walk goes through all laws with one case, trained once; the laws that use the model up come last.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from loretta_core.adapters.build import peft_config
from loretta_core.errors import MethodError
from loretta_core.methods import METHODS as TABLE
from loretta_core.support import refusal
from tests.laws.conftest import CONFIGS, METHODS, Case

NAMES = [name for name, method in TABLE.items() if method.injects_on_meta]
OURS = [name for name in NAMES if name not in ("lora", "ia3")]
BASES = [("bert", "SEQ_CLS"), ("bert", "MASKED_LM"), ("llama", "CAUSAL_LM")]
TWINS = {(("bert", "MASKED_LM"), name) for name in OURS if name not in ("loretta_rep", "bitfit")}
"""Both halves of what they show, a bidirectional model and all laws without a head, are shown by the method's two other cases."""


@torch.no_grad()
def shake(model: nn.Module) -> nn.Module:
    """Change everything that trains, in place of training."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def trainable(model: nn.Module, adapter: str) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad and f".{adapter}." in f"{name}."}


def saved(case: Case, directory: Path) -> tuple[Path, Path]:
    """Return the directories of the base and of the trained adapter; the adapter names its base."""
    base, adapter = directory / "base", directory / "adapter"
    if not base.is_dir():
        case.train()
        case.base.save_pretrained(base)
        case.model.peft_config["default"].base_model_name_or_path = str(base)
        case.model.save_pretrained(adapter, save_embedding_layers=False)
    return base, adapter


def transformers_loads_what_we_save(case: Case, directory: Path) -> None:
    base, adapter = saved(case, directory)
    loaded = type(case.base).from_pretrained(adapter).eval()
    assert case.same(case.logits(loaded), case.train())
    later = type(case.base).from_pretrained(base)
    later.load_adapter(str(adapter))
    assert case.same(case.logits(later.eval()), case.train())


def transformers_saves_what_it_has_added(case: Case, directory: Path) -> None:
    added = deepcopy(case.base)
    added.add_adapter(deepcopy(case.model.peft_config["default"]))
    shake(added).save_pretrained(directory / "added")
    fresh = deepcopy(case.base)
    fresh.load_adapter(str(directory / "added"))
    assert case.same(case.logits(fresh.eval()), case.logits(added))
    assert not case.same(case.logits(added), case.plain)


def loading_without_memory_or_onto_devices_changes_nothing(case: Case, directory: Path) -> None:
    base, adapter = saved(case, directory)
    lean = PeftModel.from_pretrained(deepcopy(case.base), adapter, low_cpu_mem_usage=True).eval()
    assert case.same(case.logits(lean), case.train())
    placed = PeftModel.from_pretrained(type(case.base).from_pretrained(base, device_map={"": "cpu"}), adapter).eval()
    assert case.same(case.logits(placed), case.train())


def a_bf16_base_loads_fp32_values_without_rounding(case: Case, directory: Path) -> None:
    _, adapter = saved(case, directory)
    lean = PeftModel.from_pretrained(deepcopy(case.base).to(torch.bfloat16), adapter, low_cpu_mem_usage=True)
    stored = load_file(adapter / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(lean, save_embedding_layers=False)
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[key], value) for key, value in stored.items())


def a_second_adapter_leaves_the_first_as_it_was(case: Case, directory: Path) -> None:
    _, adapter = saved(case, directory)
    for is_trainable in (False, True):
        model = PeftModel.from_pretrained(deepcopy(case.base), adapter, is_trainable=is_trainable).eval()
        before = trainable(model, "default")
        assert bool(before) == is_trainable
        model.load_adapter(str(adapter), "second", is_trainable=not is_trainable)
        model.add_adapter("third", deepcopy(model.peft_config["second"]))
        assert trainable(model, "default") == before
        assert bool(trainable(model, "second")) != is_trainable
        assert not trainable(model, "third")
        assert case.same(case.logits(model), case.train())


def every_linear_comes_back(case: Case, directory: Path) -> None:
    config = peft_config(case.method)
    config.target_modules, config.task_type = "all-linear", None if case.task_type == "MASKED_LM" else case.task_type
    again = deepcopy(config)
    model = shake(get_peft_model(deepcopy(case.base), config))
    model.save_pretrained(directory / "all", save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(deepcopy(case.base), directory / "all").eval()
    assert case.same(case.logits(loaded), case.logits(model))
    model.add_adapter("second", again)
    first, second = (get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False).keys() for name in ("default", "second"))
    assert first == second


def rows_have_adapters_of_their_own(case: Case, directory: Path) -> None:
    model = deepcopy(case.model)
    model.add_adapter("second", deepcopy(model.peft_config["default"]))
    model.set_adapter("second")
    second = case.logits(shake(model))
    model.set_adapter("default")
    expected = torch.stack([second[0], case.train()[1], case.plain[2], second[3]])
    with torch.no_grad():
        mixed = model(input_ids=case.ids_BL, adapter_names=["second", "default", "__base__", "second"]).logits
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-6)
    assert case.same(case.logits(model), case.train())


def rows_that_cannot_be_are_refused_and_leave_no_trace(case: Case, directory: Path) -> None:
    case.train()
    case.model.eval()
    for names, message in ((["default"] * 3, "3 names for a layer's input of"), (["default", "secnd"] * 2, "no adapter secnd; there are: default, __base__")):
        with pytest.raises(MethodError, match=message):
            case.model(input_ids=case.ids_BL, adapter_names=names)
    with pytest.raises(MethodError, match="expected a list"):
        case.model(input_ids=case.ids_BL, adapter_names="default")
    with pytest.raises(MethodError, match="training mode"):
        case.model.train()(input_ids=case.ids_BL, adapter_names=["default"] * 4)
    case.model.eval()
    if case.method.merges:
        case.model.merge_adapter()
        with pytest.raises(MethodError, match="unmerge_adapter"):
            case.model(input_ids=case.ids_BL, adapter_names=["default"] * 4)
        case.model.unmerge_adapter()
    assert case.same(case.logits(), case.train())


def two_active_adapters_add_up_in_any_order(case: Case, directory: Path) -> None:
    first, model = case.train(), case.model
    model.add_adapter("second", deepcopy(model.peft_config["default"]))
    model.set_adapter("second")
    shake(model)
    tuner = model.base_model
    tuner.set_adapter(["default", "second"])
    together = case.logits()
    tuner.set_adapter(["second", "default"])
    torch.testing.assert_close(case.logits(), together, rtol=0, atol=1e-6)
    if case.method.merges:
        for names in (["default", "second"], ["second", "default"]):
            model.merge_adapter(names)
            torch.testing.assert_close(case.logits(), together, rtol=0, atol=1e-5)
            model.unmerge_adapter()
    torch.testing.assert_close(case.logits(), together, rtol=0, atol=1e-6)
    with model.disable_adapter():
        torch.testing.assert_close(case.logits(), case.plain, rtol=0, atol=0 if case.name in OURS else 1e-6)
    tuner.set_adapter("default")
    torch.testing.assert_close(case.logits(), first, rtol=0, atol=0 if case.name in OURS else 1e-6)
    model.delete_adapter("second")
    torch.testing.assert_close(case.logits(), first, rtol=0, atol=0 if case.name in OURS else 1e-6)


LAWS: dict[Callable[[Case, Path], None], list[str]] = {
    transformers_loads_what_we_save: NAMES,
    transformers_saves_what_it_has_added: NAMES,
    loading_without_memory_or_onto_devices_changes_nothing: NAMES,
    a_bf16_base_loads_fp32_values_without_rounding: OURS,
    a_second_adapter_leaves_the_first_as_it_was: NAMES,
    every_linear_comes_back: ["lora", "loretta_adp", "loretta_rep", "adapters"],
    rows_have_adapters_of_their_own: [name for name in NAMES if name != "ia3"],  # PEFT ignores the argument for IA3
    rows_that_cannot_be_are_refused_and_leave_no_trace: OURS,
    two_active_adapters_add_up_in_any_order: NAMES,
}


@pytest.mark.filterwarnings("ignore:Unmerge result can be inaccurate", "ignore:Already unmerged", "ignore:Adapter second was active")
@pytest.mark.parametrize(
    ("model_type", "task_type", "name"),
    [
        pytest.param(*base, name, id=f"{name}-{'-'.join(base)}", marks=[pytest.mark.slow] if (base, name) in TWINS else [])
        for base in BASES
        for name in NAMES
        if refusal(name, model_type=base[0], head=base[1] == "SEQ_CLS", config=CONFIGS[base[0]]) is None
    ],
)
def test_what_people_do_with_lora_is_accepted(make_case, tmp_path, model_type, task_type, name):
    case = make_case(model_type, task_type, name)
    for law, names in LAWS.items():
        if name in names and not (law is two_active_adapters_add_up_in_any_order and task_type == "SEQ_CLS"):  # two heads do not add up
            law(case, tmp_path)


def test_a_prompt_has_no_rows(make_case):
    case = make_case("llama", "CAUSAL_LM", "prompt")
    with pytest.raises(MethodError, match="adapter_names"):
        case.model(input_ids=case.ids_BL, adapter_names=["default"] * 4)


@pytest.mark.parametrize("name", ["loretta_adp", "bitfit", "lora"])
@pytest.mark.parametrize("settings", [{"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_beams_keep_the_adapter_of_their_row(make_case, name, settings):
    case = make_case("opt", "CAUSAL_LM", name)  # which flattens rows and tokens before its feed-forward blocks
    shake(case.model)

    def generate(rows: slice, **more):
        ids = case.ids_BL[rows]
        return case.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, min_new_tokens=3, do_sample=False, **settings, **more)

    alone = generate(slice(0, 1))
    with case.model.disable_adapter():
        base = generate(slice(1, 2))
    assert torch.equal(generate(slice(0, 2), adapter_names=["default", "__base__"]), torch.cat([alone, base]))


def test_the_methods_are_those_that_inject():
    assert set(OURS) == {"loretta_adp", "loretta_rep", "tt_lora", "metatt", "lorta", "tensorguide", "adapters", "bitfit"}
    assert set(NAMES) <= set(METHODS)
