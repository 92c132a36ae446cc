"""`import loretta_core` is cheap and is all that PEFT needs, whichever of the two is imported first."""

import subprocess
import sys

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification

import loretta_core
from loretta_core import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig, TTLinear
from loretta_core.adapters.tuners.bitfit import BitfitConfig


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'torch', 'peft', 'transformers'} & set(sys.modules)"
    assert python(f"import sys, loretta_core, loretta_core.tt.shapes; dir(loretta_core); assert not {heavy}").returncode == 0


def test_public_names():
    assert TTLinear(64, 8, rank=2)(torch.ones(1, 64)).shape == (1, 8)
    assert {name for name in loretta_core.__all__ if getattr(loretta_core, name).__module__.startswith("loretta_core.")} == set(loretta_core.__all__)
    assert set(loretta_core.__all__) <= set(dir(loretta_core))
    with pytest.raises(AttributeError, match=r"no attribute 'LoretaConfig'; its public names: .*BottleneckConfig, "):
        loretta_core.LoretaConfig  # noqa: B018


UNKNOWN = """
try:
    peft.PeftConfig.from_pretrained(sys.argv[1] + "/adapter")
    raise AssertionError("known without the import")
except KeyError as error:
    assert error.args == ("LORETTA_ADP",)
"""
LOAD = """
import sys, torch
{imports}
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification
for directory in sys.argv[1:]:
    base = AutoModelForSequenceClassification.from_pretrained(directory + "/base")
    model = peft.PeftModel.from_pretrained(base, directory + "/adapter").eval()
    expected = load_file(directory + "/logits.safetensors")["logits"]
    torch.testing.assert_close(model(input_ids=torch.arange(1, 7)[None]).logits, expected, rtol=0, atol=1e-6)
import inspect
assert inspect.getsource(peft), "the loader of peft is what it was"
"""


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    found = []
    for config_cls in (LorettaAdpConfig, LorettaRepConfig, BottleneckConfig, BitfitConfig):
        directory = tmp_path_factory.mktemp("adapter")
        sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
        base = BertForSequenceClassification(BertConfig(**sizes)).eval()
        base.save_pretrained(directory / "base")
        model = get_peft_model(base, config_cls(task_type="SEQ_CLS")).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
            save_file({"logits": model(input_ids=torch.arange(1, 7)[None]).logits}, directory / "logits.safetensors")
        model.save_pretrained(str(directory / "adapter"), save_embedding_layers=False)
        found.append(directory)
    return found


@pytest.mark.integration
@pytest.mark.parametrize(
    "imports", [f"import peft{UNKNOWN}import loretta_core", pytest.param("import loretta_core\nimport peft", marks=pytest.mark.slow)], ids=["second", "first"]
)
def test_a_new_process_loads_saved_adapters_once_it_has_imported_the_package(directories, imports):
    done = python(LOAD.format(imports=imports), *directories)
    assert done.returncode == 0, done.stderr


def test_the_card_says_what_to_do_where_peft_does_not_know_the_type(directories):
    card = (directories[0] / "adapter" / "README.md").read_text()
    assert card.count("import loretta_core") == 2
    assert "KeyError" in card


def test_the_card_of_named_adapters_says_it_once(tiny, tmp_path):
    model = get_peft_model(tiny("bert"), LorettaAdpConfig(task_type="SEQ_CLS"), adapter_name="first")
    model.add_adapter("second", LorettaAdpConfig(task_type="SEQ_CLS"))
    for _ in range(2):
        model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    assert (tmp_path / "README.md").read_text().count("## How to load") == 1
