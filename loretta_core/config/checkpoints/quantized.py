"""Are the libraries there that hold a model, or an optimizer's state, in few bits? Asked without importing them."""

from __future__ import annotations

from importlib.util import find_spec

from loretta_core.config.model import BITSANDBYTES, ModelConfig
from loretta_core.config.trainer import FirstOrderTrainer, TrainerConfig
from loretta_core.errors import ConfigError, ModelError

INSTALL = "pip install '.[quantized]'"


def check_quantization(model: ModelConfig) -> None:
    """Raise ModelError if the library of `model.quantization` is not installed; it names a format whose library is."""
    if model.quantization is None:
        return
    here = {library: find_spec(library) is not None for library in ("bitsandbytes", "torchao")}
    library, other = ("bitsandbytes", "torchao") if model.quantization in BITSANDBYTES else ("torchao", "bitsandbytes")
    if not here[library]:
        instead = {"bitsandbytes": '"nf4" or "8bit"', "torchao": '"int8" or "float8"'}[other]
        advice = f", or use {instead} of {other}, which is here" if here[other] else ""
        raise ModelError(f'model.quantization = "{model.quantization}" is computed by {library}, which is not installed here: {INSTALL}{advice}')


def check_optimizer(trainer: TrainerConfig) -> None:
    """Raise ConfigError if the library of a trainer's optimizer is not installed."""
    if isinstance(trainer, FirstOrderTrainer) and trainer.needs_bitsandbytes and find_spec("bitsandbytes") is None:
        raise ConfigError(f'trainer "{trainer.type}" is computed by bitsandbytes, which is not installed here: {INSTALL}, or use "adam", "sgd" or "adafactor"')
