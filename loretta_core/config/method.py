"""How a pre-trained model becomes trainable: one class per fine-tuning method.

Field names are those of the PEFT config classes, so that a TOML table can be copied into `get_peft_model` code and back. A bare `rank` is refused:
LoRETTA has two (the TT rank `tensor_rank` and, for loretta_rep, the bottleneck `r`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from loretta_core.config.base import Typed
from loretta_core.config.peft_types import refuse_peft_type

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
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead, which keeps large r trainable (rsLoRA, arXiv 2312.03732)."""
    use_dora: bool = False
    """Train the length of each weight row apart from its direction (DoRA, arXiv 2402.09353): one more number per output."""
    init_lora_weights: Literal[True, "gaussian", "orthogonal"] = True
    """Starting values, all with a zero update: true is A uniform and B = 0, `gaussian` A normal and B = 0, `orthogonal` both with B A = 0 (even r). PEFT's
    others rewrite the frozen weights (pissa, olora) or need data (eva, corda), so the adapter alone would not restore the model."""


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
    adapter_bias: Literal["both", "down", "none"] = "both"
    """Which of an adapter's two matrices have a bias (LoRETTA's printed counts of this baseline have none)."""


class Ia3(_Method):
    """IA3: learned factors on keys, values and the inner activations of the feed-forward layers (arXiv 2205.05638), PEFT's own implementation."""

    type: Literal["ia3"]
    target_modules: Targets | None = None
    """Names of the linear layers that get factors; None takes the table for the model's architecture."""
    feedforward_modules: Targets | None = None
    """Those of target_modules whose input is scaled instead of their output; None takes the table for the model's architecture."""

    @model_validator(mode="after")
    def _feedforward_is_part_of_the_targets(self) -> Self:
        extra = [name for name in self.feedforward_modules or () if name not in (self.target_modules or ())]
        if extra:
            raise ValueError(f"feedforward_modules {extra} are not in target_modules = {self.target_modules}; name them there too")
        return self


class Prompt(_Method):
    """Prompt tuning: trained embeddings before the text (arXiv 2104.08691), PEFT's own implementation."""

    type: Literal["prompt"]
    num_virtual_tokens: int = Field(20, ge=1)
    """Length of the prompt in tokens (paper: up to 100; LoRETTA's baseline: 10 to 20)."""
    prompt_tuning_init: Literal["RANDOM", "SAMPLE_VOCAB"] = "RANDOM"
    """Starting embeddings: `RANDOM` normal with standard deviation 1, `SAMPLE_VOCAB` those of tokens drawn from the vocabulary."""


class Prefix(_Method):
    """Prefix tuning: trained keys and values before those of the text, in every layer (arXiv 2101.00190), PEFT's own implementation."""

    type: Literal["prefix"]
    num_virtual_tokens: int = Field(8, ge=1)
    """Length of the prefix in tokens (paper: 5 to 200; LoRETTA's baseline: 8)."""
    prefix_projection: bool = False
    """Compute the prefix with a two-layer network from one small embedding per token (paper: yes while training)."""
    encoder_hidden_size: int | None = Field(None, ge=1)
    """Width of that network, with prefix_projection only; None takes the width of the keys."""

    @model_validator(mode="after")
    def _width_is_used(self) -> Self:
        if self.encoder_hidden_size is not None and not self.prefix_projection:
            raise ValueError(f"encoder_hidden_size = {self.encoder_hidden_size} is used with prefix_projection = true only")
        return self


class Ptune(_Method):
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

    @model_validator(mode="after")
    def _lstm_settings_are_used(self) -> Self:
        if self.encoder_reparameterization_type == "MLP" and (self.encoder_num_layers != 2 or self.encoder_dropout):
            raise ValueError("encoder_num_layers and encoder_dropout are used with encoder_reparameterization_type = 'LSTM' only")
        if self.encoder_dropout and self.encoder_num_layers == 1:
            raise ValueError(f"encoder_dropout = {self.encoder_dropout:g} acts between the layers of the LSTM; it has encoder_num_layers = 1")
        return self


class Bitfit(_Method):
    """BitFit: the bias terms of the backbone train, nothing else does (arXiv 2106.10199)."""

    type: Literal["bitfit"]


class Peft(_Method):
    """Any other method of the installed PEFT, by its PEFT name; further keys are the fields of its PEFT config, e.g. r = 256."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]  # pyrefly: ignore[bad-override]

    type: Literal["peft"]
    peft_type: str
    """Name in PEFT's `PeftType`, e.g. VERA, LOHA, OFT, FOURIERFT."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse_peft_type(self.peft_type)
        return self

    @property
    def short_name(self) -> str:
        return self.peft_type

    @property
    def fields(self) -> dict[str, JsonValue]:
        """The fields of the PEFT config, as given."""
        return dict(self.__pydantic_extra__)


class Ft(_Method):
    """Full fine-tuning: every weight trains."""

    type: Literal["ft"]


MethodConfig = Annotated[
    LorettaAdp | LorettaRep | Adapters | Lora | Ia3 | Prompt | Prefix | Ptune | Bitfit | Peft | Ft,
    Field(discriminator="type"),
]
