"""How a pre-trained model becomes trainable: one class per fine-tuning method.

Field names are those of the PEFT config classes, so that a TOML table can be copied into `get_peft_model` code and back. A bare `rank` is refused:
LoRETTA has two (the TT rank `tensor_rank` and, for loretta_rep, the bottleneck `r`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from loretta_core.config.base import Typed

Activation = Literal["relu", "gelu", "tanh", "silu"]
Targets = Annotated[list[str], Field(min_length=1)]


def _known_shape(value: object) -> object:
    if value in ("auto", "paper") or (isinstance(value, list) and len(value) > 1 and all(type(mode) is int and mode > 0 for mode in value)):
        return value
    raise ValueError(f"{value!r}: expected 'auto', 'paper' or a list of at least two modes, such as [8, 8, 12, 8, 8]")


def _known_head(value: object) -> object:
    return value if value in (None, "dense") else _known_shape(value)


Shape = Annotated[Literal["auto", "paper"] | list[int], BeforeValidator(_known_shape)]
HeadShape = Annotated[Literal["auto", "paper", "dense"] | list[int] | None, BeforeValidator(_known_head)]


class _Method(Typed):
    @model_validator(mode="before")
    @classmethod
    def _refuse_bare_rank(cls, data: Any) -> Any:
        if isinstance(data, dict) and "rank" in data:
            own = [name for name in ("tensor_rank", "r") if name in cls.model_fields]
            raise ValueError(
                f"`rank` = {data['rank']!r} is ambiguous; write `tensor_rank` (rank of the tensor-train cores) or `r` (width of the low-rank bottleneck). "
                f"{data.get('type', cls.__name__)} has: {', '.join(own) or 'neither'}"
            )
        return data


class LorettaAdp(_Method):
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


class LorettaRep(_Method):
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


class Lora(_Method):
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


class Adapters(_Method):
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


class Ft(_Method):
    """Full fine-tuning: every weight trains."""

    type: Literal["ft"]


MethodConfig = Annotated[LorettaAdp | LorettaRep | Lora | Adapters | Ft, Field(discriminator="type")]
