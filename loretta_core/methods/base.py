"""`Method`, the descriptor of one fine-tuning method: its settings, and everything that the rest of the project has to know of it. No torch.

A subclass is both: its fields are what a sweep file sets, named as those of the PEFT config class, so that a TOML table can be copied into `get_peft_model`
code and back; its class variables and functions are the facts that other rooms read instead of asking for the method's name.

    adapters    peft_config, peft_arguments, peft_name, attachment, targets, injects_on_meta
    plan        every_weight_trains, norms_train, biases_train, parameters_at, parameters_shared, parameters_beside, classifier_parameters, …
    support     refused, refused_with_decoder_head, refusal
    report      explanation
    tuning      learning_rates

The defaults are those of a method that trains nothing and is refused nowhere. Counts are numbers of parameters; widths are features of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import model_validator

from loretta_core.methods.grid import AttachedLayer
from loretta_core.methods.ranges import DefaultRange, LearningRates
from loretta_core.schema import Typed
from loretta_core.sites import DECODERS, Attachment, Side


class Method(Typed):
    """Base of every method. Abstract: a subclass adds `type`, its settings, and the facts in which it differs from the defaults."""

    explanation: ClassVar[str] = ""
    """What trains, for the report's glossary; methods with the same words share a line."""

    peft_config: ClassVar[str | None] = None
    """`module:name` of the PEFT config class (or a function that makes one), called with `peft_arguments()`; None: the model trains as it is."""
    peft_name: ClassVar[str | None] = None
    """The method's name in PEFT's `PeftType`; None where it has none of its own."""
    attachment: ClassVar[Attachment | None] = None
    """Which list of an architecture's layers (`loretta_core/sites.py`) the method changes; None: it attaches to no layers."""
    injects_on_meta: ClassVar[bool] = False
    """Whether the adapter can be built without the values of the base model, so that a saved one is checked before the base changes."""

    identity_at_init: ClassVar[bool] = True
    """Whether the adapted model equals its base at step 0."""
    merges: ClassVar[bool] = True
    """Whether `merge_and_unload` gives a plain model with the same function."""
    open_ended: ClassVar[bool] = False
    """Whether the method stands for many of PEFT, of which nothing is known beforehand: no counts, no refusals."""
    every_weight_trains: ClassVar[bool] = False
    """Whether the model itself trains, in its own precision, and is saved whole."""
    biases_train: ClassVar[bool] = False
    """Whether the biases of the backbone train."""
    recomputable: ClassVar[bool] = True
    """False if a block cannot be computed again in the backward pass, as with keys and values that are handed to it."""
    prompt_learning: ClassVar[bool] = False
    """Whether the method is an input and no change of a layer (PEFT's term); then logits are made at every position."""
    tensor_trains: ClassVar[bool] = False
    """Whether the new matrices are tensor trains; in a batched forward the result of each is a tensor of its own."""
    block_host_s: ClassVar[float] = 0.7e-3
    """Seconds that the host needs to start the operations of one transformer block with its adapters (measured by `tests/benchmarks/bench_packing.py`)."""

    learning_rates: ClassVar[LearningRates] = LearningRates(
        DefaultRange(1e-5, 1e-2, "no source for this method: the range of lora"),
    )
    """Where `[tune]` looks for a learning rate when the sweep file gives no range; settings that change the size of a method are not tuned unasked."""

    refused: ClassVar[Mapping[str, str]] = {}
    """Architecture → why the method does not work on it."""
    refused_with_decoder_head: ClassVar[str | None] = None
    """Why it does not work with a classification head on a decoder; None where it does."""

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

    # What the tuner is made of.

    def peft_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `peft_config`: the settings, whose names are those of the PEFT config class."""
        return self.model_dump(exclude={"type"})

    @property
    def targets(self) -> list[str] | None:
        """Names of the layers that the user chose; None: those of the architecture's table."""
        return None

    @property
    def input_targets(self) -> list[str] | None:
        """The `targets` that the user wants changed on their input; None: those that the architecture's table puts there."""
        return None

    @property
    def lora_refusal(self) -> str | None:
        """Why what trains is no LoRA adapter; None if it is one, as it stands or multiplied out."""
        return f"what {self.type} trains is none"

    # What the planner counts.

    @property
    def norms_train(self) -> bool:
        """True if the norms of the backbone train."""
        return False

    @property
    def virtual_tokens(self) -> int:
        """Tokens that the method adds to every input."""
        return 0

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        """Return how many parameters train at one attached layer; `on_input`: it is changed on its input. Raises MethodError for settings that do not fit."""
        return 0

    def parameters_shared(self, attached: Sequence[AttachedLayer], *, head_width: int | None) -> int:
        """Return how many parameters train that the attached layers have in common (`head_width`: of one attention head). Raises MethodError as above."""
        return 0

    def parameters_beside(self, *, hidden: int, keys: int, layers: int) -> int:
        """Return how many parameters train beside the layers, as prompts do, in a model of these widths (`keys`: of the keys of one layer) and depth."""
        return 0

    def classifier_parameters(self, *, in_features: int, out_features: int, bias: bool) -> int | None:
        """Return the parameters of what replaces the hidden x hidden layer of a classification head; None: it stays dense."""
        return None

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        """Return the bytes a token that autograd keeps at one attached layer, besides the layer's input; `base_bytes`: of one activation of the base."""
        return 0

    def keeps_input(self, side: Side) -> bool:
        """Return whether the backward pass needs the input of an attached layer: it has an update beside it, or an adapter before it."""
        return self.attachment == "weights" or (self.attachment == "adapters" and side == "input")

    # Where it works.

    @classmethod
    def refusal(cls, *, model_type: str, head: bool, config: Mapping[str, Any]) -> str | None:
        """Return why the method cannot run on an architecture, or None. `head`: with a classification head; `config`: the checkpoint's config.json."""
        if head and model_type in DECODERS and cls.refused_with_decoder_head is not None:
            return cls.refused_with_decoder_head
        return cls.refused.get(model_type)
