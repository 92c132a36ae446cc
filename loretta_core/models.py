"""Checkpoints and tokenizers, from the package, the hub or a local directory, through the same `from_pretrained`.

Only safetensors weights are read: a pickle from outside can run code. `trust_remote_code` is off unless the config says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from loretta_core.config.model import TOY_MODELS, ModelConfig
from loretta_core.config.task import Objective
from loretta_core.errors import ModelError

_AUTO_CLASSES: dict[Objective, Any] = {"head": AutoModelForSequenceClassification, "prompt": AutoModelForMaskedLM}
_WEIGHTS = ("*.safetensors",)


def load_tokenizer(model: ModelConfig) -> PreTrainedTokenizerBase:
    """The checkpoint's fast tokenizer. Raises ModelError."""
    source = locate(model)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code)
        return tokenizer
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None


def load_config(model: ModelConfig) -> dict[str, Any]:
    """The checkpoint's config.json, every default filled in; no weights are read. Raises ModelError."""
    source = locate(model)
    try:
        return AutoConfig.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code).to_dict()
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None


def load_model(model: ModelConfig, *, objective: Objective, num_labels: int, dtype: torch.dtype) -> PreTrainedModel:
    """The checkpoint with the head that the objective needs, in `dtype`, in eval mode. Raises ModelError.

    A classification head that the checkpoint lacks is drawn from torch's global generator; seed it first.
    """
    source = locate(model)
    options: dict[str, Any] = {"num_labels": num_labels} if objective == "head" else {}
    try:
        return (
            _AUTO_CLASSES[objective]
            .from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code, dtype=dtype, use_safetensors=True, **options)
            .eval()
        )
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None


def locate(model: ModelConfig) -> str:
    """A name → what `from_pretrained` takes: a directory or a hub id. Raises ModelError for a directory that cannot be a checkpoint."""
    if model.name in TOY_MODELS:
        return str(Path(__file__).parent / "assets" / model.name)
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


def _unreadable(model: ModelConfig, source: str, error: Exception) -> ModelError:
    if Path(source).is_dir():
        return ModelError(f"model {model.name!r} cannot be loaded: {error}")
    return ModelError(
        f"model {model.name!r} is neither shipped ({', '.join(TOY_MODELS)}), nor a local directory, nor in the local hub cache, and the hub did not serve it. "
        f"Fetch it where there is a network: `hf download {model.name}`. ({str(error).splitlines()[0]})"
    )
