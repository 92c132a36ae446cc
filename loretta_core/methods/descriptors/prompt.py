"""The method `prompt`, which PEFT implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.methods.refusals import IDS_ONLY, LAST_POSITION, NARROW, embeddings_are_narrow


class Prompt(Method):
    """Prompt tuning: trained embeddings before the text (arXiv 2104.08691), PEFT's own implementation."""

    type: Literal["prompt"]
    num_virtual_tokens: int = Field(20, ge=1)
    """Length of the prompt in tokens (paper: up to 100; LoRETTA's baseline: 10 to 20)."""
    prompt_tuning_init: Literal["RANDOM", "SAMPLE_VOCAB"] = "RANDOM"
    """Starting embeddings: `RANDOM` normal with standard deviation 1, `SAMPLE_VOCAB` those of tokens drawn from the vocabulary."""

    explanation = "made-up words or keys before the text"
    learning_rates = LearningRates(
        DefaultRange(1e-3, 3e-1, "3e-1 in the paper with Adafactor (arXiv 2104.08691), 1e-2 to 3e-2 in PEFT's examples"),
        DefaultRange(1e-4, 1e-1, "1e-3 to 5e-2 for prefixes in MeZO (arXiv 2305.17333)"),
    )
    peft_config = "peft:PromptTuningConfig"
    peft_name = "PROMPT_TUNING"
    identity_at_init = False
    merges = False
    prompt_learning = True
    refused: ClassVar[Mapping[str, str]] = {"albert": NARROW, "t5": IDS_ONLY, "mt5": IDS_ONLY, "bart": IDS_ONLY}
    refused_with_decoder_head = LAST_POSITION

    @property
    def virtual_tokens(self) -> int:
        return self.num_virtual_tokens

    def parameters_beside(self, *, hidden: int, keys: int, layers: int) -> int:
        return self.num_virtual_tokens * hidden

    @classmethod
    def refusal(cls, *, model_type: str, head: bool, config: Mapping[str, Any]) -> str | None:
        return NARROW if embeddings_are_narrow(config) else super().refusal(model_type=model_type, head=head, config=config)
