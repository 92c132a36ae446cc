"""Model names → what `from_pretrained` takes, checked without loading anything.

Free of torch, so that a driver can refuse a directory that cannot be a checkpoint before any worker starts. A hub id is left alone: whether it can be fetched
shows where it is loaded.
"""

from __future__ import annotations

from pathlib import Path

from loretta_core.config.model import TOY_MODELS, ModelConfig
from loretta_core.errors import ModelError

_SHIPPED = Path(__file__).parents[2] / "assets"
_WEIGHTS = ("*.safetensors",)


def locate(model: ModelConfig) -> str:
    """Return what `from_pretrained` takes for a model: a directory or a hub id. Raises ModelError for a directory that cannot be a checkpoint."""
    if model.name in TOY_MODELS:
        return str(_SHIPPED / model.name)
    directory = Path(model.name).expanduser()
    if not directory.is_dir():
        if model.name.startswith((".", "/", "~")) or model.name.count("/") > 1:
            raise ModelError(f"model {model.name!r}: no such directory (paths are relative to the directory the sweep is started in)")
        return model.name
    if not (directory / "config.json").is_file():
        raise ModelError(f"model {model.name!r}: the directory has no config.json; expected a Hugging Face checkpoint (`save_pretrained`)")
    if not any(path for pattern in _WEIGHTS for path in directory.glob(pattern)):
        pickled = " It has weights in pickle format only, which are not read; convert them to safetensors." if list(directory.glob("*.bin")) else ""
        raise ModelError(f"model {model.name!r}: the directory has no weights (*.safetensors).{pickled}")
    return str(directory)
