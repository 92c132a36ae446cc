"""The method `adapters`, the dense baseline of loretta_adp. Its tensors: `loretta_core/adapters/tuners/bottleneck.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Activation, Targets
from loretta_core.methods.formulas import activation_parameters, adapter_activation_bytes, adapter_biases
from loretta_core.methods.ranges import TOY_SWEEP, DefaultRange, LearningRates
from loretta_core.sites import Side


class Adapters(Method):
    """Dense bottleneck adapters at the same places as loretta_adp (arXiv 1902.00751)."""

    type: Literal["adapters"]
    bottleneck_size: int = Field(64, ge=1)
    """Width of the adapter's middle."""
    non_linearity: Activation = "relu"
    """Activation between the two matrices."""
    adapter_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the adapter's input."""
    scaling: float = 1.0
    """Factor on the adapter's output."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an adapter; None takes the table for the model's architecture."""
    train_norms: bool = False
    """Train LayerNorm/RMSNorm weights too."""
    adapter_bias: Literal["both", "down", "none"] = "both"
    """Which of an adapter's two matrices have a bias (LoRETTA's printed counts of this baseline have none)."""

    explanation = "small dense layers between the frozen ones"
    learning_rates = LearningRates(
        DefaultRange(1e-5, 1e-2, f"3e-5 to 3e-3 in the paper (arXiv 1902.00751); best of {TOY_SWEEP}: 3e-3"),
    )
    peft_config = "loretta_core.adapters.tuners.bottleneck:BottleneckConfig"
    peft_name = "BOTTLENECK"
    attachment = "adapters"
    injects_on_meta = True
    merges = False

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def norms_train(self) -> bool:
        return self.train_norms

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        width, middle = in_features if on_input else out_features, self.bottleneck_size
        return 2 * width * middle + adapter_biases(self.adapter_bias, middle=middle, width=width) + activation_parameters(self.non_linearity)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return adapter_activation_bytes(self.bottleneck_size, out_features=out_features, side=side)
