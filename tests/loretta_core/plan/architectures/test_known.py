"""The built-in shapes have the parameter counts of the published models."""

import pytest

from loretta_core.plan.architectures.known import KNOWN, known_config, stored_names
from loretta_core.plan.architectures.model import model_layers

PUBLISHED = {
    "bert-base-uncased": 109_514_298,  # BertForMaskedLM
    "roberta-base": 124_697_433,
    "roberta-large": 355_412_057,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-1.3b": 1_315_758_080,
    "opt-13b": 12_853_473_280,
    "Llama-2-7b-hf": 6_738_415_616,
    "Llama-2-13b-hf": 13_015_864_320,
    "Llama-2-70b-hf": 68_976_648_192,
    "Meta-Llama-3-8B": 8_030_261_248,
    "Meta-Llama-3-70B": 70_553_706_496,
    "Llama-3.2-1B": 1_235_814_400,
    "Mistral-7B-v0.1": 7_241_732_096,
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen3-8B": 8_190_735_360,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "Phi-3-mini-4k-instruct": 3_821_079_552,
    "OLMo-2-0425-1B": 1_484_916_736,
    "OLMo-2-1124-7B": 7_298_617_344,
    "SmolLM2-135M": 134_515_008,
    "SmolLM3-3B": 3_075_098_624,
    "Mixtral-8x7B-v0.1": 46_702_792_704,
    "falcon-7b": 6_921_720_704,
    "gpt-j-6b": 6_050_882_784,
    "bloom-560m": 559_214_592,
    "mamba-130m-hf": 129_135_360,
    "distilbert-base-uncased": 66_985_530,  # DistilBertForMaskedLM
    "ModernBERT-base": 149_655_232,
    "bart-base": 139_420_416,
    "bart-large": 406_291_456,
}
"""Weights of the language model, tied ones once."""


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_counts_are_the_published_ones(name, count):
    assert model_layers(known_config(name), labels=None).total == count


@pytest.mark.parametrize("name", KNOWN)
def test_every_shape_is_complete(name):
    for labels in (None, 2):
        model = model_layers(known_config(name), labels=labels)
        assert model.total > 1_000_000
        assert model_layers(known_config(name), labels=labels, stored=stored_names(model)).total == model.total


def test_names_as_people_write_them():
    assert known_config("FacebookAI/roberta-base") is KNOWN["roberta-base"]
    assert known_config("meta-llama/Llama-3.1-8B-Instruct") is KNOWN["llama-3.1-8b"]
    assert known_config("somebody/else") is None


def test_debertas_pooler_starts_at_random_and_trains_with_the_head():
    config = known_config("microsoft/deberta-v3-base")
    model = model_layers(config, labels=2, stored=stored_names(model_layers(config, labels=2)))
    assert set(model.trained_head) == {"classifier", "pooler.dense"}
