"""An adapter given to others: what push_to_hub uploads loads again, and the card says how and what it is. The hub is a folder here."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError
from peft import PeftModel, get_peft_model
from transformers.utils import hub

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.tuners.bitfit import BitfitConfig

CONFIGS = [
    LorettaRepConfig(task_type="SEQ_CLS", layers_to_transform=[1], revision="abc"),
    LorettaAdpConfig(task_type="SEQ_CLS"),
    BottleneckConfig(task_type="SEQ_CLS"),
    BitfitConfig(task_type="SEQ_CLS"),
]


@pytest.fixture
def make_model(tiny):
    """Return `make_model(config)` → a model whose every trained value differs from the base's."""

    @torch.no_grad()
    def make(config):
        base = tiny("bert")
        base.config.name_or_path = base.name_or_path = "org/bert-tiny"
        model = get_peft_model(base, config, revision=config.revision).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture
def fake_hub(monkeypatch, tmp_path):
    """A hub that keeps what is uploaded in a folder."""

    def create_commit(*, operations, **_):
        for operation in operations:
            shutil.copyfile(operation.path_or_fileobj, tmp_path / operation.path_in_repo)
        return SimpleNamespace(pr_revision=None)

    def no_card(*_, **__):
        raise EntryNotFoundError("no card yet")

    api = SimpleNamespace(create_repo=lambda repo_id, **_: SimpleNamespace(repo_id=repo_id), create_commit=create_commit)
    monkeypatch.setattr(hub, "hf_api", lambda: api)
    monkeypatch.setattr(ModelCard, "load", no_card)
    return tmp_path


@pytest.mark.filterwarnings("ignore:Could not find a config file")  # PEFT asks the hub for the size of the vocabulary
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.peft_type.value))
@torch.no_grad()
def test_what_is_pushed_loads_again(make_model, tiny, token_ids, fake_hub, config):
    model = make_model(config)
    model.push_to_hub("org/adapter", token=False)
    assert {path.name for path in fake_hub.iterdir()} == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    loaded = PeftModel.from_pretrained(tiny("bert"), str(fake_hub)).eval()
    torch.testing.assert_close(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits, atol=0, rtol=0)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.peft_type.value))
def test_the_card_says_how_to_load_it_and_what_it_is(make_model, tmp_path, config):
    make_model(config).save_pretrained(str(tmp_path), save_embedding_layers=False)
    card = (tmp_path / "README.md").read_text()
    assert "base_model: org/bert-tiny" in card
    assert "import loretta_core  # registers the LoRETTA types with PEFT\nfrom peft import PeftModel\n" in card
    revision = f", revision={config.revision!r}" if config.revision else ""
    assert f"base = AutoModelForSequenceClassification.from_pretrained('org/bert-tiny'{revision})" in card
    for expected in (
        f"- revision: {config.revision or 'not pinned'}\n",
        f"- type of adapter: {config.peft_type.value}\n",
        "- layers: ",
        "- norms: ",
        "- versions: loretta-on-ray",
    ):
        assert expected in card
