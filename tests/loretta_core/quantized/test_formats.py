"""Formats that cannot be computed with are refused before weights are read; numbers are counted as they were."""

import pytest
import torch
from torch import nn

from loretta_core.config import cell_from_overrides
from loretta_core.config.checkpoints import quantized as libraries
from loretta_core.config.model import Pretrained
from loretta_core.errors import ConfigError, ModelError
from loretta_core.quantized import formats
from loretta_core.quantized.formats import check_kernels, is_quantized, number_count, stored_bytes


def toy(form):
    return Pretrained(type="pretrained", name="toy-bert", quantization=form)


def test_a_missing_library_is_named_with_what_would_work(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name == "bitsandbytes" else object())
    with pytest.raises(
        ModelError, match=r'"nf4" is computed by bitsandbytes, which is not installed here: pip install .* or use "int8" or "float8" of torchao'
    ):
        libraries.check_quantization(toy("nf4"))
    libraries.check_quantization(toy("int8"))


def test_a_missing_kernel_is_named_with_what_would_work(monkeypatch):
    def refuse(form, dtype, *, width=64):
        if form in ("nf4", "fp4"):
            raise RuntimeError("no kernel for 4 bit\nand a long explanation")
        return nn.Linear(width, width)

    monkeypatch.setattr(formats, "quantized_layer", refuse)
    with pytest.raises(ModelError, match=r'"nf4" cannot be computed with on this machine: no kernel for 4 bit\. These can: 8bit, int8, float8'):
        check_kernels("nf4", dtype=torch.float32)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["method=ft"], "holds frozen weights, and ft trains them all"),
        (["method=lora", "engine=zero"], 'with engine "zero", which splits floating-point weights'),
    ],
)
def test_combinations_that_cannot_be(settings, words):
    with pytest.raises(ConfigError, match=words):
        cell_from_overrides(["model=toy-bert", "model.quantization=nf4", "task=toy_sentiment", "trainer=adam", *settings])


def test_a_table_shows_the_format():
    assert (toy("nf4").caption, toy(None).caption) == ("toy-bert (nf4)", "toy-bert")


def test_an_ordinary_parameter():
    parameter = nn.Parameter(torch.zeros(3, 4))
    assert (is_quantized(parameter), number_count(parameter), stored_bytes(parameter)) == (False, 12, 48)
