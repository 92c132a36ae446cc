"""The support table: for every method and architecture, whether they work together, and why not. No torch.

Each method's descriptor holds its refusals; a pair that is not refused works. A test builds and trains every pair of a known method and a known architecture,
and shows of every refusal that it is real. An architecture that is listed in neither table of `sites.py` is refused nothing here: it is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.errors import MethodError
from loretta_core.methods import METHODS
from loretta_core.methods.targets import attached_methods
from loretta_core.sites import ARCHITECTURES, BY_RULE

METHOD_TYPES = (*attached_methods(), *(name for name, method in METHODS.items() if method.attachment is None and not method.open_ended))
"""Every method type but `peft`, which may name any method of PEFT; those that attach to layers come first."""

REFUSED: dict[str, Mapping[str, str]] = {name: METHODS[name].refused for name in METHOD_TYPES if METHODS[name].refused}
"""method → architecture → why not."""

HEAD_REFUSED: dict[str, str] = {name: reason for name in METHOD_TYPES if (reason := METHODS[name].refused_with_decoder_head) is not None}
"""method → why not on `sites.DECODERS` with a classification head."""


def refusal(method: str, *, model_type: str, head: bool, config: Mapping[str, Any] | None = None) -> str | None:
    """Return why `method` cannot run on `model_type`, or None if it can. `head`: with a classification head; `config`: the checkpoint's config.json.

    A config decides where an architecture leaves the choice: biases in the attention, width of the embeddings.
    """
    return METHODS[method].refusal(model_type=model_type, head=head, config=config or {})


def check_supported(method: str, *, config: Mapping[str, Any], head: bool) -> None:
    """Raise MethodError where a method is refused; nothing of the model is needed but its config.json."""
    model_type = str(config.get("model_type", ""))
    reason = refusal(method, model_type=model_type, head=head, config=config)
    if reason is not None:
        others = [name for name in METHOD_TYPES if refusal(name, model_type=model_type, head=head, config=config) is None]
        raise MethodError(f"{method} does not work on {model_type}: {reason}. Methods that do: {', '.join(others)}")


def support_table() -> dict[str, dict[str, str | None]]:
    """Return method → architecture → None, or why not whatever the task is; every known pair."""
    return {method: {model_type: REFUSED.get(method, {}).get(model_type) for model_type in (*ARCHITECTURES, *BY_RULE)} for method in METHOD_TYPES}


CARRY_STATE = (
    *("mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma", "jamba", "bamba", "zamba", "zamba2", "falcon_h1", "nemotron_h", "granitemoehybrid"),
    *("lfm2", "qwen3_next", "xlstm", "minimax"),
)
"""Architectures with layers that carry a state, or a convolution, from token to token: rows in one sequence would see those before them."""


def check_packing_supported(config: Mapping[str, Any]) -> None:
    """Raise MethodError where rows cannot share a sequence; architectures that are not listed are tried before training (`tasks/chat/packing.py`)."""
    model_type = str(config.get("model_type", ""))
    if model_type in CARRY_STATE:
        raise MethodError(
            f"task.packing = true: {model_type} carries a state from token to token, so that rows in one sequence would see those before them; "
            "set task.packing = false"
        )
