"""The support table is true: every "no" is a failure that PEFT or transformers would have met later; every "yes" is walked through in test_methods.py."""

import json

import pytest
import torch

from loretta_core.adapters import build
from loretta_core.errors import MethodError
from loretta_core.methods import METHODS as TABLE
from loretta_core.sites import ARCHITECTURES, BY_RULE
from loretta_core.support import METHOD_TYPES, REFUSED, check_supported, support_table
from services.commands.list import listing
from tests.laws.conftest import METHODS, tasks_of


def test_the_table_has_every_method_and_only_known_names():
    assert {method.type for method in METHODS.values()} - {"peft"} == set(METHOD_TYPES) == set(TABLE) - {"peft"}
    assert REFUSED.keys() <= set(METHOD_TYPES)
    assert all(set(row) == {*ARCHITECTURES, *BY_RULE} for row in support_table().values())
    assert all(row.keys() <= {*ARCHITECTURES, *BY_RULE} for row in REFUSED.values())


@pytest.mark.parametrize(
    ("model_type", "method", "task_type"),
    [(model_type, method, task_type) for method, row in REFUSED.items() for model_type in row for task_type in tasks_of(model_type)],
)
def test_every_no_is_refused_and_would_fail(make_case, model_type, method, task_type, monkeypatch):
    with pytest.raises(MethodError, match=f"{method} does not work on {model_type}: "):
        make_case(model_type, task_type, method)
    monkeypatch.setattr(build, "check_supported", lambda *_, **__: None)
    try:
        case = make_case(model_type, task_type, method)
        case.train()
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        return
    assert case.dead[-1]  # what it adds is ignored without a word


@pytest.mark.parametrize("method", ["prompt", "ptune"])
def test_a_prompt_before_a_decoders_head_would_read_padding(make_case, method, monkeypatch):
    with pytest.raises(MethodError, match="reads the last position"):
        make_case("llama", "SEQ_CLS", method)
    monkeypatch.setattr(build, "check_supported", lambda *_, **__: None)
    model = make_case("llama", "SEQ_CLS", method).model.eval()
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
        ("bitfit", {"model_type": "falcon_h1", "attention_bias": True}, "its mixers read biases past the layers"),
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
    assert row.split()[1:] == ["yes"] * 9 + ["no", "(1)", "no", "(3)", "no", "(1)", "yes", "yes"]
    assert "(3) its attention takes no keys and values" in text
    refused = {entry["name"]: entry["refused"] for entry in json.loads(listing("methods", as_json=True))}
    assert refused["lora"] == {}
    assert {"deberta", "deberta-v2", "albert", "t5", "modernbert", "mt5"} <= set(refused["prefix"])
    assert "llama" not in refused["prefix"]
