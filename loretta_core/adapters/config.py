"""What the PEFT configs of our methods share. The field names are those that users of the authors' package and of PEFT know."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft import PeftConfig


@dataclass
class SiteConfig(PeftConfig):
    """Where a method attaches and what else it trains."""

    target_modules: list[str] | set[str] | str | None = field(
        default=None, metadata={"help": "Names of linear layers; None takes the site table of the model's architecture."}
    )
    exclude_modules: list[str] | set[str] | str | None = field(default=None, metadata={"help": "Names of layers to leave alone."})
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "Modules trained and saved in full, such as a classifier."})
    train_norms: bool = field(default=True, metadata={"help": "Train every LayerNorm and RMSNorm, as the paper does."})


@dataclass
class AdapterConfig(SiteConfig):
    """Bottleneck adapters beside linear layers."""

    bottleneck_size: int = field(default=64, metadata={"help": "Width of the adapter's middle."})
    non_linearity: str = field(default="relu", metadata={"help": "Activation between the two matrices: relu, gelu, tanh or silu."})
    adapter_dropout: float = field(default=0.0, metadata={"help": "Dropout on the adapter's input."})
    scaling: float = field(default=1.0, metadata={"help": "Factor on the adapter's output."})
    input_modules: list[str] | None = field(
        default=None, metadata={"help": "Those of target_modules whose adapter sits on the layer's input; None takes the site table."}
    )
