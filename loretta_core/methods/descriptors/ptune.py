"""The method `ptune`, which PEFT implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.methods.base import Method
from loretta_core.methods.formulas import bidirectional_lstm, dense
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.methods.refusals import IDS_ONLY, LAST_POSITION, NARROW, embeddings_are_narrow


class Ptune(Method):
    """P-tuning: a prompt computed by a small network from trained embeddings (arXiv 2103.10385), PEFT's own implementation.

    The saved adapter holds the prompt that the network made, not the network: it predicts, and cannot be trained further.
    """

    type: Literal["ptune"]
    num_virtual_tokens: int = Field(20, ge=1)
    """Length of the prompt in tokens (LoRETTA's baseline: 20)."""
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = "MLP"
    """The network: three linear layers, or a bidirectional LSTM and two linear layers (paper: LSTM)."""
    encoder_hidden_size: int | None = Field(None, ge=1)
    """Width of the network; None takes the model's hidden size."""
    encoder_num_layers: int = Field(2, ge=1)
    """Layers of the LSTM."""
    encoder_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout between the layers of the LSTM."""

    explanation = "made-up words or keys before the text"
    learning_rates = LearningRates(
        DefaultRange(1e-5, 1e-2, "1e-5 to 1e-3 in the paper (arXiv 2103.10385), a decade added"),
    )
    peft_config = "peft:PromptEncoderConfig"
    peft_name = "P_TUNING"
    identity_at_init = False
    merges = False
    prompt_learning = True
    refused: ClassVar[Mapping[str, str]] = {"albert": NARROW, "t5": IDS_ONLY, "mt5": IDS_ONLY, "bart": IDS_ONLY}
    refused_with_decoder_head = LAST_POSITION

    @model_validator(mode="after")
    def _lstm_settings_are_used(self) -> Self:
        if self.encoder_reparameterization_type == "MLP" and (self.encoder_num_layers != 2 or self.encoder_dropout):
            raise ValueError("encoder_num_layers and encoder_dropout are used with encoder_reparameterization_type = 'LSTM' only")
        if self.encoder_dropout and self.encoder_num_layers == 1:
            raise ValueError(f"encoder_dropout = {self.encoder_dropout:g} acts between the layers of the LSTM; it has encoder_num_layers = 1")
        return self

    @property
    def virtual_tokens(self) -> int:
        return self.num_virtual_tokens

    def parameters_beside(self, *, hidden: int, keys: int, layers: int) -> int:
        inner = self.encoder_hidden_size or hidden
        embedding = self.num_virtual_tokens * hidden
        if self.encoder_reparameterization_type == "MLP":
            return embedding + dense(hidden, inner) + dense(inner, inner) + dense(inner, hidden)
        lstm = bidirectional_lstm(hidden, inner, layers=self.encoder_num_layers)
        return embedding + lstm + dense(2 * inner, 2 * inner) + dense(2 * inner, hidden)

    @classmethod
    def refusal(cls, *, model_type: str, head: bool, config: Mapping[str, Any]) -> str | None:
        return NARROW if embeddings_are_narrow(config) else super().refusal(model_type=model_type, head=head, config=config)
