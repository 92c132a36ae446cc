"""What cards say of an adapter: the snippet that README has, the layers with their sides, and what else trains."""

import pytest

from loretta_core.store.adapter_card import adapter_facts, adapter_snippet, loading_snippet
from tests.paths import ROOT


def test_readme_recommends_the_snippet_of_the_cards():
    snippet = loading_snippet(auto="AutoModelForCausalLM", arguments="'path/to/base'", directory="path/to/adapter").replace("'", '"')
    assert f"```python\n{snippet}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "first"),
    [
        (
            {"task_type": "CAUSAL_LM", "base_model_name_or_path": "org/model", "revision": "abc"},
            "base = AutoModelForCausalLM.from_pretrained('org/model', revision='abc')",
        ),
        ({"task_type": None, "auto_mapping": {"base_model_class": "BertForMaskedLM"}}, "base = BertForMaskedLM.from_pretrained('path/to/base')"),
        ({"task_type": None}, "base = AutoModel.from_pretrained('path/to/base')"),
    ],
)
def test_the_class_that_loads_the_base(config, first):
    code = adapter_snippet(config, directory="here")
    assert first in code
    assert code.startswith("import loretta_core")
    compile(code, "card", "exec")


def test_facts():
    config = {
        "peft_type": "LORETTA_ADP",
        "target_modules": ["up_proj", "q_proj"],
        "input_modules": ["up_proj"],
        "layers_to_transform": [0, 1],
        "modules_to_save": ["classifier"],
        "train_norms": True,
    }
    assert adapter_facts(config) == [
        ("type of adapter", "LORETTA_ADP"),
        ("layers", "`q_proj`, `up_proj` (input)"),
        ("layers_to_transform", "`[0, 1]`"),
        ("trained in full", "`classifier`"),
        ("norms", "trained"),
    ]
    assert adapter_facts({"peft_type": "LORA", "target_modules": ".*proj"}) == [("type of adapter", "LORA"), ("layers", "`.*proj`"), ("norms", "frozen")]
