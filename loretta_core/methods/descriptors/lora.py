"""The method `lora`, which PEFT implements."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.formulas import FP32
from loretta_core.methods.ranges import TOY_SWEEP, DefaultRange, LearningRates
from loretta_core.sites import Side


class Lora(Method):
    """LoRA, PEFT's own implementation (arXiv 2106.09685)."""

    type: Literal["lora"]
    r: int = Field(8, ge=1)
    """Rank of the update."""
    lora_alpha: float = Field(16.0, gt=0)
    """The update is scaled by lora_alpha / r."""
    lora_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an update; None takes the table for the model's architecture."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead, which keeps large r trainable (rsLoRA, arXiv 2312.03732)."""
    use_dora: bool = False
    """Train the length of each weight row apart from its direction (DoRA, arXiv 2402.09353): one more number per output."""
    init_lora_weights: Literal[True, "gaussian", "orthogonal"] = True
    """Starting values, all with a zero update: true is A uniform and B = 0, `gaussian` A normal and B = 0, `orthogonal` both with B A = 0 (even r). PEFT's
    others rewrite the frozen weights (pissa, olora) or need data (eva, corda), so the adapter alone would not restore the model."""

    explanation = "a low-rank update of some matrices"
    learning_rates = LearningRates(
        DefaultRange(1e-5, 1e-2, f"2e-4 to 5e-4 in the paper (arXiv 2106.09685), tuned per model in 2602.04998; best of {TOY_SWEEP}: 3e-3"),
    )
    peft_config = "peft:LoraConfig"
    peft_name = "LORA"
    attachment = "weights"
    injects_on_meta = True

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def lora_refusal(self) -> str | None:
        return "DoRA's lengths are no part of one (method.use_dora)" if self.use_dora else None

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        return self.r * (in_features + out_features) + (out_features if self.use_dora else 0)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * self.r
