"""The method `bitfit`. Its tensors: `loretta_core/adapters/tuners/bitfit.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from loretta_core.methods.base import Method
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.methods.refusals import NO_BIAS, READ_PAST, STATE_SPACE


class Bitfit(Method):
    """BitFit: the bias terms of the backbone train, nothing else does (arXiv 2106.10199)."""

    type: Literal["bitfit"]

    explanation = "the biases"
    learning_rates = LearningRates(
        DefaultRange(1e-5, 1e-2, "1e-4 to 1e-3 in the paper (arXiv 2106.10199), a decade added on both sides"),
    )
    peft_config = "loretta_core.adapters.tuners.bitfit:BitfitConfig"
    peft_name = "BITFIT"
    injects_on_meta = True
    biases_train = True
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("llama", "mistral", "qwen3", "gemma", "t5", "mt5", "gemma2", "gemma3_text", "phi3", "olmo", "olmo2", "cohere", "granite"), NO_BIAS),
        **dict.fromkeys(("smollm3", "mixtral", "qwen3_moe", "deepseek_v3", "modernbert"), NO_BIAS),
        "mamba": READ_PAST,
    }

    @classmethod
    def refusal(cls, *, model_type: str, head: bool, config: Mapping[str, Any]) -> str | None:
        if model_type in STATE_SPACE:
            return READ_PAST
        if config.get("attention_bias") or config.get("mlp_bias") or config.get("norm_bias"):
            return None
        return super().refusal(model_type=model_type, head=head, config=config)
