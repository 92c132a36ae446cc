"""Model names that cannot be used are refused with the reason, before anything is loaded."""

import pytest
import torch

from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import Pretrained
from loretta_core.errors import ModelError
from loretta_core.models import load_model, load_tokenizer


def named(name: str) -> Pretrained:
    return Pretrained(type="pretrained", name=str(name))


def test_missing_directory(tmp_path):
    with pytest.raises(ModelError, match="no such directory"):
        locate(named(tmp_path / "absent"))


def test_a_directory_without_config(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        locate(named(tmp_path))


def test_a_directory_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no weights \(\*\.safetensors\)\.$"):
        locate(named(tmp_path))


def test_pickled_weights_are_not_read(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="pickle format only, which are not read"):
        locate(named(tmp_path))


def test_an_unknown_hub_id_names_the_command_that_fetches_it():
    with pytest.raises(ModelError, match="hf download nobody/no-such-model"):
        load_tokenizer(named("nobody/no-such-model"))


def test_an_encoder_is_not_asked_to_write():
    with pytest.raises(ModelError, match=r"'toy-bert' is an encoder \(bert\) and writes no answers"):
        load_model(named("toy-bert"), objective="causal", num_labels=2, dtype=torch.float32)
