"""The method `loretta_adp`. Its tensors: `loretta_core/adapters/tuners/loretta_adp.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Activation, HeadShape, Shape, Targets
from loretta_core.methods.formulas import activation_parameters, adapter_activation_bytes, adapter_biases, tensorized_classifier, tt_pair
from loretta_core.methods.ranges import TOY_SWEEP, DefaultRange, LearningRates
from loretta_core.sites import Side


class LorettaAdp(Method):
    """LoRETTA_adp: bottleneck adapters whose two matrices are tensor trains (arXiv 2402.11417, section 3.2)."""

    type: Literal["loretta_adp"]
    tensor_rank: int = Field(5, ge=1)
    """Rank of the tensor-train cores (paper: 5 for the BERT family, 2 to 32 for LLaMA)."""
    bottleneck_size: int = Field(64, ge=1)
    """Width of the adapter's middle (paper: 64)."""
    non_linearity: Activation = "relu"
    """Activation between the two matrices (paper's scripts: relu)."""
    adapter_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the adapter's input (paper: 0)."""
    scaling: float = 1.0
    """Factor on the adapter's output (paper: 1)."""
    shape: Shape = "auto"
    """How widths are factored into tensor modes: `auto` works for any width and caps the ranks, `paper` takes the printed lists and counts, a list gives
    the modes of the first matrix, width x bottleneck_size (the other matrix mirrors them)."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an adapter; None takes the table for the model's architecture."""
    train_norms: bool = True
    """Train LayerNorm/RMSNorm weights too (paper: yes)."""
    adapter_bias: Literal["both", "down", "none"] = "both"
    """Which of an adapter's two matrices have a bias (paper: both)."""
    classifier_shape: HeadShape = None
    """Tensorize the hidden x hidden layer of a RoBERTa-like or DeBERTa classification head: modes as in `shape`, or `dense` for not at all. None: as the
    paper does with shape = "paper" (yes), otherwise dense."""

    explanation = "the same two ideas with the new matrices stored as tensor trains, which need fewer numbers"
    learning_rates = LearningRates(
        DefaultRange(1e-4, 1e-2, f"1e-4 to 1e-3 in the paper (arXiv 2402.11417); best of {TOY_SWEEP}: 3e-3, of jobs/sweeps/minilm_glue.toml: 5e-3"),
    )
    peft_config = "loretta_core.adapters.tuners.loretta_adp:LorettaAdpConfig"
    peft_name = "LORETTA_ADP"
    attachment = "adapters"
    injects_on_meta = True
    merges = False
    tensor_trains = True
    block_host_s = 1.7e-3

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def norms_train(self) -> bool:
        return self.train_norms

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        width, middle = in_features if on_input else out_features, self.bottleneck_size
        biases = adapter_biases(self.adapter_bias, middle=middle, width=width) + activation_parameters(self.non_linearity)
        return tt_pair(width, middle, width, rank=self.tensor_rank, shape=self.shape) + biases

    def classifier_parameters(self, *, in_features: int, out_features: int, bias: bool) -> int | None:
        return tensorized_classifier(self.classifier_shape, in_features, out_features, rank=self.tensor_rank, matrix_shape=self.shape, bias=bias)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return adapter_activation_bytes(self.bottleneck_size + 2 * self.tensor_rank, out_features=out_features, side=side)
