"""A task that decoders answer in another form takes that form on a decoder, if none is given."""

import json

import pytest

from loretta_core.config import cell_from_overrides


def objective(model, *more, task="sst2"):
    return cell_from_overrides([f"model={model}", f"task={task}", "method=lora", "trainer=adam", *more]).task.objective


@pytest.mark.parametrize("model", ["toy-llama", "facebook/opt-125m", "meta-llama/Llama-3.2-1B", "HuggingFaceTB/SmolLM2-135M", "gpt2", "Qwen/Qwen2.5-0.5B"])
def test_decoders_rank_answers(model):
    assert objective(model) == objective(model, task="rte") == "causal"
    assert objective(model, "task.objective=head") == "head"
    assert objective(model, task="mrpc") == "head"


@pytest.mark.parametrize("model", ["toy-bert", "roberta-base", "microsoft/deberta-v3-base", "no/such-model"])
def test_encoders_have_a_head(model):
    assert objective(model) == "head"


@pytest.mark.parametrize(
    ("config", "expected"), [({"model_type": "llama"}, "causal"), ({"model_type": "x", "architectures": ["XForCausalLM"]}, "causal"), ({}, "head")]
)
def test_a_config_decides_where_there_is_one(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert objective(tmp_path) == expected


def test_an_encoder_keeps_the_id_that_it_had():
    default, given = (cell_from_overrides(["model=toy-bert", "task=sst2", "method=lora", "trainer=adam", *more]) for more in ([], ["task.objective=head"]))
    assert default.cell_id == given.cell_id
