"""Checkpoints and tokenizers, from the package, the hub or a local directory, through the same `from_pretrained`.

Only safetensors weights are read: a pickle from outside can run code. `trust_remote_code` is off unless the config says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.checkpoints.quantized import check_quantization
from loretta_core.config.model import TOY_MODELS, ModelConfig
from loretta_core.config.task import FRESH_HEADS, AnyObjective
from loretta_core.errors import ModelError
from loretta_core.quantized.formats import check_kernels, quantization_settings
from loretta_core.quantized.linear import train_through

_AUTO_CLASSES: dict[AnyObjective, Any] = {
    "head": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
    "prompt": AutoModelForMaskedLM,
    "causal": AutoModelForCausalLM,
}

ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "deberta", "deberta-v2", "albert", "camembert", "mpnet", "modernbert", "nomic_bert", "distilbert")
"""Model types whose attention is bidirectional: a token sees those after it."""


def load_tokenizer(model: ModelConfig) -> PreTrainedTokenizerBase:
    """Return the checkpoint's fast tokenizer. Raises ModelError."""
    source = locate(model)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code)
        return tokenizer
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None


def load_config(model: ModelConfig) -> dict[str, Any]:
    """Return the checkpoint's config.json, every default filled in; no weights are read. Raises ModelError."""
    source = locate(model)
    try:
        return AutoConfig.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code).to_dict()
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None


def load_model(model: ModelConfig, *, objective: AnyObjective, num_labels: int, dtype: torch.dtype, fresh_head: bool = False) -> PreTrainedModel:
    """Return the checkpoint with the head that the objective needs, in `dtype`, in eval mode. Raises ModelError.

    A classification head that the checkpoint lacks, or that is to be `fresh_head`, is drawn from torch's global generator; seed it first.
    """
    source = locate(model)
    _check_direction(model, objective)
    options: dict[str, Any] = {"num_labels": num_labels, "ignore_mismatched_sizes": True} if objective in FRESH_HEADS else {}
    if model.quantization is not None:
        check_quantization(model)
        check_kernels(model.quantization, dtype=dtype)
        options["quantization_config"] = quantization_settings(model.quantization, dtype=dtype, keep=_kept_whole(model, source, objective))
    try:
        loaded = (
            _AUTO_CLASSES[objective]
            .from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code, dtype=dtype, use_safetensors=True, **options)
            .eval()
        )
    except (OSError, ValueError) as error:
        raise _unreadable(model, source, error) from None
    if model.quantization is not None:
        train_through(loaded)
    if fresh_head:
        _draw_head(loaded)
    return loaded


def _kept_whole(model: ModelConfig, source: str, objective: AnyObjective) -> list[str]:
    """Return the names of modules that are never quantized: heads, and poolers, which the checkpoint may lack."""
    config = AutoConfig.from_pretrained(source, revision=model.revision, trust_remote_code=model.trust_remote_code)
    with torch.device("meta"):
        outline = _AUTO_CLASSES[objective].from_config(config, trust_remote_code=model.trust_remote_code)
    heads = [name for name, _ in outline.named_children() if name != outline.base_model_prefix]
    return [*heads, f"{outline.base_model_prefix}.pooler"]


@torch.no_grad()
def _draw_head(model: PreTrainedModel) -> None:
    """Draw every weight beside the backbone anew, as the architecture initialises it."""
    for name, child in model.named_children():
        for module in child.modules() if name != model.base_model_prefix else ():
            for tensor in module.parameters(recurse=False):
                setattr(tensor, "_is_hf_initialized", False)  # noqa: B010 transformers leaves tensors alone that came from the checkpoint
            model._init_weights(module)


def _check_direction(model: ModelConfig, objective: AnyObjective) -> None:
    """Raise ModelError for an encoder with a causal head, which would see the answer it is asked for, and for half of an encoder-decoder."""
    config = load_config(model)
    if objective == "causal" and config.get("is_encoder_decoder"):
        raise ModelError(
            f'model {model.name!r} is an encoder-decoder ({config["model_type"]}), and a task in words needs a decoder; use task.objective = "head"'
        )
    if objective == "causal" and config["model_type"] in ENCODERS and not config.get("is_decoder"):
        raise ModelError(f'model {model.name!r} is an encoder ({config["model_type"]}) and writes no answers; use task.objective = "prompt" or "head"')


def _unreadable(model: ModelConfig, source: str, error: Exception) -> ModelError:
    if Path(source).is_dir():
        return ModelError(f"model {model.name!r} cannot be loaded: {error}")
    return ModelError(
        f"model {model.name!r} is neither shipped ({', '.join(TOY_MODELS)}), nor a local directory, nor in the local hub cache, and the hub did not serve it. "
        f"Fetch it where there is a network: `hf download {model.name}`. ({str(error).splitlines()[0]})"
    )
