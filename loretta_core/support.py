"""Which method works on which architecture, and why not where it does not. Standard library only.

`REFUSED` is the whole table: a pair that is not in it works. A test builds and trains every pair of a known method and a known architecture, and shows of
every refusal that it is real. An architecture that is not listed in `sites.ARCHITECTURES` is refused nothing here: it is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.errors import MethodError
from loretta_core.sites import ARCHITECTURES, SITE_METHODS

METHOD_TYPES = (*SITE_METHODS, "prompt", "prefix", "ptune", "bitfit", "ft")
"""Every method type but `peft`, which may name any method of PEFT."""

_NO_CACHE = "its attention takes no keys and values from outside (no past_key_values)"
_NARROW = "its word embeddings are narrower than its layers, and PEFT makes prompts of the layers' width"
_IDS_ONLY = "its classifier finds the end of the text in the token ids, and a prompt is passed as embeddings"
_NO_BIAS = "it has no bias terms"

REFUSED: dict[str, dict[str, str]] = {
    "prompt": {"albert": _NARROW, "t5": _IDS_ONLY},
    "prefix": {
        "deberta": _NO_CACHE,
        "deberta-v2": _NO_CACHE,
        "albert": _NO_CACHE,
        "t5": "PEFT runs its decoder with the prefix and without the token ids it starts from",
    },
    "ptune": {"albert": _NARROW, "t5": _IDS_ONLY},
    "bitfit": {"llama": _NO_BIAS, "mistral": _NO_BIAS, "qwen3": _NO_BIAS, "gemma": _NO_BIAS, "t5": _NO_BIAS},
}
"""method → architecture → why not."""

DECODERS = ("opt", "phi", "llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "gpt_neox")
"""Architectures whose classification head reads the last token of the text."""

_LAST_POSITION = "the head finds the last token in the token ids, and without them reads the last position, which in a padded batch is padding"
HEAD_REFUSED = {"prompt": _LAST_POSITION, "ptune": _LAST_POSITION}
"""method → why not on DECODERS with a classification head."""


def refusal(method: str, *, model_type: str, head: bool, config: Mapping[str, Any] | None = None) -> str | None:
    """Why `method` cannot run on `model_type`, or None if it can. `head`: with a classification head; `config`: the checkpoint's config.json.

    A config decides where an architecture leaves the choice: biases in the attention, width of the embeddings.
    """
    config = config or {}
    if method == "bitfit" and (config.get("attention_bias") or config.get("mlp_bias")):
        return None
    if method in ("prompt", "ptune"):
        hidden = config.get("hidden_size")
        if hidden != config.get("embedding_size", hidden) or hidden != config.get("word_embed_proj_dim", hidden):
            return _NARROW
    if head and model_type in DECODERS and method in HEAD_REFUSED:
        return HEAD_REFUSED[method]
    return REFUSED.get(method, {}).get(model_type)


def check_supported(method: str, *, config: Mapping[str, Any], head: bool) -> None:
    """Raises MethodError where the table refuses; needs nothing of the model but its config.json."""
    model_type = str(config.get("model_type", ""))
    reason = refusal(method, model_type=model_type, head=head, config=config)
    if reason is not None:
        others = [name for name in METHOD_TYPES if refusal(name, model_type=model_type, head=head, config=config) is None]
        raise MethodError(f"{method} does not work on {model_type}: {reason}. Methods that do: {', '.join(others)}")


def support_table() -> dict[str, dict[str, str | None]]:
    """method → architecture → None, or why not whatever the task is; every pair that we know of."""
    return {method: {model_type: REFUSED.get(method, {}).get(model_type) for model_type in ARCHITECTURES} for method in METHOD_TYPES}
