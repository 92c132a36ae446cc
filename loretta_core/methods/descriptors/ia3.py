"""The method `ia3`, which PEFT implements."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.sites import Side


class Ia3(Method):
    """IA3: learned factors on keys, values and the inner activations of the feed-forward layers (arXiv 2205.05638), PEFT's own implementation."""

    type: Literal["ia3"]
    target_modules: Targets | None = None
    """Names of the linear layers that get factors; None takes the table for the model's architecture."""
    feedforward_modules: Targets | None = None
    """Those of target_modules whose input is scaled instead of their output; None takes the table for the model's architecture."""

    explanation = "factors on activations"
    learning_rates = LearningRates(
        DefaultRange(1e-4, 3e-2, "3e-3 in the paper (arXiv 2205.05638), a decade added on both sides"),
    )
    peft_config = "peft:IA3Config"
    peft_name = "IA3"
    attachment = "scaling"
    injects_on_meta = True

    @model_validator(mode="after")
    def _feedforward_is_part_of_the_targets(self) -> Self:
        extra = [name for name in self.feedforward_modules or () if name not in (self.target_modules or ())]
        if extra:
            raise ValueError(f"feedforward_modules {extra} are not in target_modules = {self.target_modules}; name them there too")
        return self

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def input_targets(self) -> list[str] | None:
        return self.feedforward_modules

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        return in_features if on_input else out_features

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return out_features * base_bytes  # a product keeps what it scales
