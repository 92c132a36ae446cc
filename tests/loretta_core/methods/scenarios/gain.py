"""A made-up method, `gain`: one learned factor per output of the query and value layers. This is all that a new method's config class is."""

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.formulas import FP32
from loretta_core.sites import Side


class Gain(Method):
    """Gain: y = (1 + g) · (W x + b) with one trained number per output."""

    type: Literal["gain"]
    target_modules: Targets | None = None
    """Names of the linear layers that get a gain; None takes the table for the model's architecture."""
    start: float = Field(0.0, ge=-0.5, le=0.5)
    """Starting value of g."""

    explanation = "one factor per output of some matrices"
    peft_config = "tests.loretta_core.methods.scenarios.gain_tuner:GainConfig"
    peft_name = "GAIN"
    attachment = "weights"
    injects_on_meta = True
    merges = False

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        return out_features

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * out_features
