"""Base classes of our methods' PEFT configs, with the fields that several of them have.

The field names are those that users of the authors' package and of PEFT know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from peft import PeftConfig

from loretta_core.adapters.common.layer_choice import check_chosen_layers
from loretta_core.adapters.field_checks import (
    activation,
    check_fields,
    checked,
    flag,
    head_modes,
    modes,
    names,
    names_or_pattern,
    number,
    numbers,
    one_of,
    probability,
    whole,
)
from loretta_core.adapters.io.import_note import add_import_note
from loretta_core.errors import MethodError


@dataclass
class OwnConfig(PeftConfig):
    """Base of every config of ours: its fields are checked, its card says how to load it, its file says what wrote it."""

    inference_mode: bool = field(default=False, metadata=checked(flag, "Load the adapter frozen."))
    loretta_version: str | None = field(default=None, metadata={"help": "Version of loretta-on-ray that made the adapter; filled in."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self)
        self.loretta_version = self.loretta_version or version("loretta-on-ray")

    def save_pretrained(self, save_directory: str | PathLike[str], **kwargs: Any) -> None:
        super().save_pretrained(str(save_directory), **kwargs)
        add_import_note(Path(save_directory))


@dataclass
class TargetedConfig(OwnConfig):
    """Fields of methods that attach to linear layers: which these are, and what else trains."""

    target_modules: list[str] | set[str] | str | None = field(
        default=None,
        metadata=checked(
            names_or_pattern, "Names of linear layers, a regular expression of whole paths, or 'all-linear'; None takes the table of the model's architecture."
        ),
    )
    exclude_modules: list[str] | set[str] | str | None = field(default=None, metadata=checked(names_or_pattern, "Names of layers and norms to leave alone."))
    layers_to_transform: list[int] | int | None = field(
        default=None,
        metadata=checked(numbers, "Numbers of the blocks of the model whose layers and norms train; None: all. Not with a pattern as target_modules."),
    )
    layers_pattern: list[str] | str | None = field(
        default=None, metadata=checked(names_or_pattern, "Names of the lists of blocks that layers_to_transform counts in, such as 'layers'; None: any.")
    )
    modules_to_save: list[str] | None = field(default=None, metadata=checked(names, "Modules trained and saved in full, such as a classifier."))
    train_norms: bool = field(default=True, metadata=checked(flag, "Train every LayerNorm and RMSNorm, as the paper does."))
    bias: str = field(default="none", metadata={"help": "Biases of the base model that train: only 'none', so that the base stays what it was."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chosen_layers(self)
        if self.bias != "none":
            raise MethodError(
                f"bias = {self.bias!r}: expected 'none'. Biases of the base model trained in place could not be switched off with the adapter; "
                "`adapter_bias` selects the biases inside the adapters, the method bitfit trains those of the base"
            )


@dataclass
class BottleneckConfigBase(TargetedConfig):
    """Fields of bottleneck adapters beside linear layers."""

    bottleneck_size: int = field(default=64, metadata=checked(whole(1), "Width of the adapter's middle."))
    non_linearity: str = field(default="relu", metadata=checked(activation, "Activation between the two matrices, by transformers' name."))
    adapter_dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the adapter's input."))
    adapter_bias: str = field(
        default="both", metadata=checked(one_of("both", "down", "none"), "Which of the two matrices have a bias: both (the paper), down or none.")
    )
    scaling: float = field(default=1.0, metadata=checked(number("a number (the authors' 'learned' is not supported)"), "Factor on the adapter's output."))
    input_modules: list[str] | None = field(
        default=None,
        metadata=checked(names, "Those of the targeted layers whose adapter sits on the input, by the ends of their paths; None decides it at injection."),
    )


@dataclass
class TTConfig(TargetedConfig):
    """Fields of methods whose matrices are tensor trains."""

    tensor_rank: int = field(default=5, metadata=checked(whole(1), "Rank of the tensor-train cores."))
    shape: str | list[int] = field(
        default="auto", metadata=checked(modes, "How widths factor into modes: 'auto', 'paper', or the modes of the first matrix (the second mirrors them).")
    )
    classifier_shape: str | list[int] | None = field(
        default=None,
        metadata=checked(
            head_modes,
            "Tensorize the hidden x hidden layer of the classification head: modes as in `shape`, or 'dense' for not at all. "
            "None: as the paper does with shape='paper', otherwise dense.",
        ),
    )
