"""The method `loretta_rep`. Its tensors: `loretta_core/adapters/tuners/loretta_rep.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import HeadShape, Shape, Targets
from loretta_core.methods.formulas import FP32, tensorized_classifier, tt_pair
from loretta_core.methods.ranges import TOY_SWEEP, DefaultRange, LearningRates
from loretta_core.sites import Side


class LorettaRep(Method):
    """LoRETTA_rep: a low-rank weight update whose two factors are tensor trains (arXiv 2402.11417, section 3.3)."""

    type: Literal["loretta_rep"]
    tensor_rank: int = Field(5, ge=1)
    """Rank of the tensor-train cores (paper: 5 for the BERT family, 8 for LLaMA)."""
    r: int = Field(8, ge=1)
    """Width of the low-rank bottleneck between the two factors (paper: 8)."""
    lora_alpha: float = Field(16.0, gt=0)
    """The update is scaled by lora_alpha / r (paper: 16)."""
    lora_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input (paper's LLaMA scripts: 0.05)."""
    shape: Shape = "auto"
    """How widths are factored into tensor modes: `auto` works for any width and caps the ranks, `paper` takes the printed lists and counts, a list gives
    the modes of the first matrix, in_features x r (the other matrix mirrors them)."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an update; None takes the table for the model's architecture."""
    train_norms: bool = True
    """Train LayerNorm/RMSNorm weights too (paper: yes)."""
    init_weights: Literal["zero", "subtract"] = "zero"
    """How the update starts at nothing: `zero` in its last core, or random cores whose product is `subtract`ed ever after (the paper's noise reduction, in
    its exact form)."""
    classifier_shape: HeadShape = None
    """Tensorize the hidden x hidden layer of a RoBERTa-like or DeBERTa classification head: modes as in `shape`, or `dense` for not at all. None: as the
    paper does with shape = "paper" (yes), otherwise dense."""

    explanation = "the same two ideas with the new matrices stored as tensor trains, which need fewer numbers"
    learning_rates = LearningRates(
        DefaultRange(1e-4, 1e-2, f"1e-4 to 1e-3 in the paper (arXiv 2402.11417); best of {TOY_SWEEP}: 3e-3, of jobs/sweeps/minilm_glue.toml: 5e-3"),
    )
    peft_config = "loretta_core.adapters.tuners.loretta_rep:LorettaRepConfig"
    peft_name = "LORETTA_REP"
    attachment = "weights"
    injects_on_meta = True
    tensor_trains = True
    block_host_s = 1.7e-3

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def lora_refusal(self) -> str | None:
        return "trained norms are no part of one (method.train_norms)" if self.train_norms else None

    @property
    def norms_train(self) -> bool:
        return self.train_norms

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        return tt_pair(in_features, self.r, out_features, rank=self.tensor_rank, shape=self.shape)

    def classifier_parameters(self, *, in_features: int, out_features: int, bias: bool) -> int | None:
        return tensorized_classifier(self.classifier_shape, in_features, out_features, rank=self.tensor_rank, matrix_shape=self.shape, bias=bias)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * (self.r + 2 * self.tensor_rank)
