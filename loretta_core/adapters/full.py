"""Full fine-tuning: the model itself, every weight trainable, saved as an ordinary checkpoint directory (safetensors + config.json)."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_model, save_model
from torch import nn
from transformers import PreTrainedModel

from loretta_core.errors import OutputError

WEIGHTS = "model.safetensors"


def train_everything(model: PreTrainedModel) -> PreTrainedModel:
    """Make every weight trainable, in place, and return the model. Weights keep their dtype, so a bf16 model trains in bf16 throughout."""
    return model.requires_grad_(True)


def save_full(model: nn.Module, directory: Path) -> None:
    """Write the whole model into `directory` as config.json and safetensors; tied weights are stored once."""
    if isinstance(model, PreTrainedModel):
        model.config.save_pretrained(directory)
    save_model(model, str(directory / WEIGHTS), metadata={"format": "pt"})


def load_full(model: PreTrainedModel, directory: Path) -> PreTrainedModel:
    """Read a saved model back into `model`, every weight trainable. Raises OutputError unless the file holds exactly the weights of this model."""
    try:
        load_model(model, directory / WEIGHTS, strict=True)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{directory / WEIGHTS} does not hold the weights of this model: {error}") from None
    return train_everything(model)
