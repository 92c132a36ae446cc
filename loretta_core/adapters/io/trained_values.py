"""The trained values of a saved adapter, or of a saved model, under the names that the parameters have in training."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


def read_trained_values(directory: Path, model: nn.Module) -> dict[str, Tensor] | None:
    """Return the value of every trainable parameter of `model` by name.

    None where the files cannot be read or lack one: P-tuning and prefixes with a projection save what their network computes, and not the network.
    """
    paths = list(directory.glob("*model.safetensors"))  # an adapter's, or a whole model's
    try:
        stored = load_file(paths[0]) if len(paths) == 1 else {}
    except (OSError, SafetensorError):
        return None
    values: dict[str, Tensor] = {}
    for name, aliases in _names_in_file(model).items():
        found = next((stored[alias] for alias in aliases if alias in stored), None)
        if found is None:
            return None
        values[name] = found
    return values


def _names_in_file(model: nn.Module) -> dict[str, list[str]]:
    """Return {name in training: names that a file may have for it}. A tied weight has several names, and a file has one of them."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.requires_grad:
            names.setdefault(id(parameter), []).append(name)
    return {tied[0]: [name.replace(".modules_to_save.default", "").replace(".default", "") for name in tied] for tied in names.values()}
