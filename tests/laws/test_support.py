"""The support table is true: every "yes" builds and trains, every "no" is a failure that PEFT or transformers would have met later."""

import json

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from loretta_core.adapters import build
from loretta_core.config.method import Adapters, Bitfit, Ft, Ia3, Lora, LorettaAdp, LorettaRep, Prefix, Prompt, Ptune
from loretta_core.errors import MethodError
from loretta_core.sites import ARCHITECTURES
from loretta_core.support import DECODERS, METHOD_TYPES, REFUSED, check_supported, refusal, support_table
from services.listing import listing

_SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ENCODER = {**_SIZES, "type_vocab_size": 2}
_DEBERTA = {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": 32}
CONFIGS = {model_type: {**_SIZES, "num_key_value_heads": 2} for model_type in ARCHITECTURES} | {
    "bert": _ENCODER,
    "roberta": _ENCODER,
    "xlm-roberta": _ENCODER,
    "electra": {**_ENCODER, "embedding_size": 32},
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "albert": {**_ENCODER, "embedding_size": 16},
    "opt": {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "gpt2": {"vocab_size": 40, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    "gpt_neox": _SIZES,
    "t5": {
        "vocab_size": 40,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 1,
        "num_heads": 4,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "decoder_start_token_id": 0,
    },
}
METHODS = {
    "loretta_adp": LorettaAdp(type="loretta_adp", tensor_rank=2, bottleneck_size=8, non_linearity="gelu"),
    "loretta_rep": LorettaRep(type="loretta_rep", tensor_rank=2, r=4),
    "adapters": Adapters(type="adapters", bottleneck_size=8, non_linearity="gelu"),
    "lora": Lora(type="lora", r=2),
    "ia3": Ia3(type="ia3"),
    "prompt": Prompt(type="prompt", num_virtual_tokens=2),
    "prefix": Prefix(type="prefix", num_virtual_tokens=2),
    "ptune": Ptune(type="ptune", num_virtual_tokens=2),
    "bitfit": Bitfit(type="bitfit"),
    "ft": Ft(type="ft"),
}
_AUTO = {"SEQ_CLS": AutoModelForSequenceClassification, "MASKED_LM": AutoModelForMaskedLM, "CAUSAL_LM": AutoModelForCausalLM}


def tasks_of(model_type):
    return ["SEQ_CLS"] if model_type == "t5" else ["SEQ_CLS", "CAUSAL_LM" if model_type in DECODERS else "MASKED_LM"]


def train_steps(model_type, method, task_type):
    """Two, in fact: every trainable parameter must get a gradient and move."""
    torch.manual_seed(0)
    base = _AUTO[task_type].from_config(AutoConfig.for_model(model_type, **CONFIGS[model_type])).eval()
    model = build.apply_method(base, method=METHODS[method], task_type=task_type)
    ids_BL = torch.randint(3, 40, (2, 5))
    ids_BL[:, -1] = 2
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in trainable]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    for _ in range(2):  # the first step alone cannot reach what starts at zero
        logits = model(input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL)).logits
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits.flatten(0, -2), torch.arange(logits.shape[:-1].numel()) % logits.shape[-1]).backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trainable)
    assert not any(torch.equal(old, new) for old, new in zip(before, trainable, strict=True))


def test_the_table_has_every_method_and_only_known_names():
    assert set(METHODS) == set(METHOD_TYPES) == set(build.METHODS) - {"peft"}
    assert REFUSED.keys() <= set(METHOD_TYPES)
    assert all(set(row) == set(ARCHITECTURES) for row in support_table().values())
    assert all(row.keys() <= ARCHITECTURES.keys() for row in REFUSED.values())


@pytest.mark.integration
@pytest.mark.parametrize(
    ("model_type", "method", "task_type"),
    [
        (model_type, method, task_type)
        for model_type in ARCHITECTURES
        for task_type in tasks_of(model_type)
        for method in METHODS
        if refusal(method, model_type=model_type, head=task_type == "SEQ_CLS") is None
    ],
)
def test_every_yes_builds_and_trains(model_type, method, task_type):
    train_steps(model_type, method, task_type)


@pytest.mark.parametrize(
    ("model_type", "method", "task_type"),
    [(model_type, method, task_type) for method, row in REFUSED.items() for model_type in row for task_type in tasks_of(model_type)],
)
def test_every_no_is_refused_and_would_fail(model_type, method, task_type, monkeypatch):
    with pytest.raises(MethodError, match=f"{method} does not work on {model_type}: "):
        train_steps(model_type, method, task_type)
    monkeypatch.setattr(build, "check_supported", lambda *_, **__: None)
    with pytest.raises((RuntimeError, ValueError, NotImplementedError)):
        train_steps(model_type, method, task_type)


@pytest.mark.parametrize("method", ["prompt", "ptune"])
def test_a_prompt_before_a_decoders_head_would_read_padding(method, monkeypatch):
    with pytest.raises(MethodError, match="reads the last position"):
        train_steps("llama", method, "SEQ_CLS")
    monkeypatch.setattr(build, "check_supported", lambda *_, **__: None)
    torch.manual_seed(0)
    base = _AUTO["SEQ_CLS"].from_config(AutoConfig.for_model("llama", **CONFIGS["llama"])).eval()
    model = build.apply_method(base, method=METHODS[method], task_type="SEQ_CLS").eval()
    text = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, 0, 0]])
    with torch.no_grad():
        short = model(input_ids=text, attention_mask=torch.ones_like(text)).logits
        long = model(input_ids=padded, attention_mask=(padded != 0).long()).logits
    assert not torch.allclose(short, long, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "config", "reason"),
    [
        ("bitfit", {"model_type": "llama", "attention_bias": True}, None),
        ("bitfit", {"model_type": "llama", "attention_bias": False}, "no bias terms"),
        ("ptune", {"model_type": "electra", "hidden_size": 256, "embedding_size": 128}, "narrower"),
        ("ptune", {"model_type": "electra", "hidden_size": 768, "embedding_size": 768}, None),
        ("prompt", {"model_type": "opt", "hidden_size": 1024, "word_embed_proj_dim": 512}, "narrower"),
        ("lora", {"model_type": "someone's own"}, None),
    ],
)
def test_the_config_decides_where_the_architecture_does_not(method, config, reason):
    if reason is None:
        check_supported(method, config=config, head=False)
    else:
        with pytest.raises(MethodError, match=reason):
            check_supported(method, config=config, head=False)


def test_the_listing_shows_the_table():
    text = listing("methods", as_json=False)
    row = next(line for line in text.splitlines() if line.startswith("albert "))
    assert row.split()[1:] == ["yes"] * 5 + ["no", "(1)", "no", "(3)", "no", "(1)", "yes", "yes"]
    assert "(3) its attention takes no keys and values" in text
    refused = {entry["name"]: entry["refused"] for entry in json.loads(listing("methods", as_json=True))}
    assert refused["lora"] == {}
    assert set(refused["prefix"]) == {"deberta", "deberta-v2", "albert", "t5"}
