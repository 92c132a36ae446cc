"""The method `prefix`, which PEFT implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.methods.base import Method
from loretta_core.methods.formulas import dense
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.methods.refusals import NO_CACHE

_NO_START = "PEFT runs its decoder with the prefix and without the token ids it starts from"


class Prefix(Method):
    """Prefix tuning: trained keys and values before those of the text, in every layer (arXiv 2101.00190), PEFT's own implementation."""

    type: Literal["prefix"]
    num_virtual_tokens: int = Field(8, ge=1)
    """Length of the prefix in tokens (paper: 5 to 200; LoRETTA's baseline: 8)."""
    prefix_projection: bool = False
    """Compute the prefix with a two-layer network from one small embedding per token (paper: yes while training)."""
    encoder_hidden_size: int | None = Field(None, ge=1)
    """Width of that network, with prefix_projection only; None takes the width of the keys."""

    explanation = "made-up words or keys before the text"
    learning_rates = LearningRates(
        DefaultRange(1e-4, 3e-2, "5e-5 to 8e-5 with a reparametrisation (arXiv 2101.00190), 5e-3 to 3e-2 without (P-tuning v2, 2110.07602)"),
        DefaultRange(1e-4, 1e-1, "1e-3 to 5e-2 in MeZO (arXiv 2305.17333)"),
    )
    peft_config = "peft:PrefixTuningConfig"
    peft_name = "PREFIX_TUNING"
    identity_at_init = False
    merges = False
    prompt_learning = True
    recomputable = False
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("deberta", "deberta-v2", "albert", "modernbert", "mpnet", "nomic_bert", "distilbert", "bart", "mamba"), NO_CACHE),
        "t5": _NO_START,
        "mt5": _NO_START,
        "falcon": "all of its queries share one key, and PEFT makes one for each",
        "deepseek_v3": "its keys are wider than its values, and PEFT makes both of one width",
    }

    @model_validator(mode="after")
    def _width_is_used(self) -> Self:
        if self.encoder_hidden_size is not None and not self.prefix_projection:
            raise ValueError(f"encoder_hidden_size = {self.encoder_hidden_size} is used with prefix_projection = true only")
        return self

    def parameters_beside(self, *, hidden: int, keys: int, layers: int) -> int:
        keys_and_values = 2 * layers * keys
        if not self.prefix_projection:
            return self.num_virtual_tokens * keys_and_values
        inner = self.encoder_hidden_size or keys
        return self.num_virtual_tokens * keys + dense(keys, inner) + dense(inner, keys_and_values)
