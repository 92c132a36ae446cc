"""MethodConfig → a model ready to train, and back from disk.

`METHODS` is the whole zoo, one line per method. PEFT methods give a `PeftModel` with the base frozen; `ft` gives the model itself. Trainable parameters are
fp32 (for ft: the base's own dtype).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from loretta_core.adapters.bottleneck import BottleneckConfig
from loretta_core.adapters.config import SiteConfig
from loretta_core.adapters.full import load_full, save_full, train_everything
from loretta_core.adapters.loretta_adp import LorettaAdpConfig
from loretta_core.adapters.loretta_rep import LorettaRepConfig
from loretta_core.adapters.saved_modules import new_modules, upcast_saved_modules
from loretta_core.adapters.storage import load_peft
from loretta_core.adapters.tuner import linear_paths
from loretta_core.config.method import Adapters, Lora, LorettaAdp, LorettaRep, MethodConfig
from loretta_core.sites import resolve_targets

TaskType = Literal["SEQ_CLS", "MASKED_LM", "CAUSAL_LM"]


@dataclass(frozen=True)
class Method:
    """One entry of the zoo. `peft_config` is None for methods that need no adapter."""

    peft_config: Callable[..., LoraConfig | SiteConfig] | None
    identity_at_init: bool = True
    """The adapted model equals its base at step 0. Every method here does."""
    merges: bool = True
    """`merge_and_unload` gives a plain model with the same function."""


def _loretta_adp(method: LorettaAdp) -> LorettaAdpConfig:
    return LorettaAdpConfig(**method.model_dump(exclude={"type"}))


def _loretta_rep(method: LorettaRep) -> LorettaRepConfig:
    return LorettaRepConfig(**method.model_dump(exclude={"type"}))


def _adapters(method: Adapters) -> BottleneckConfig:
    return BottleneckConfig(**method.model_dump(exclude={"type"}))


def _lora(method: Lora) -> LoraConfig:
    return LoraConfig(**method.model_dump(exclude={"type"}))


METHODS: dict[str, Method] = {
    "loretta_adp": Method(_loretta_adp, merges=False),
    "loretta_rep": Method(_loretta_rep),
    "lora": Method(_lora),
    "adapters": Method(_adapters, merges=False),
    "ft": Method(None),
}


def apply_method(model: PreTrainedModel, *, method: MethodConfig, task_type: TaskType) -> nn.Module:
    """Make `model` trainable in place and return what to train and call. New weights are drawn from torch's global generator.

    Raises MethodError when the method does not fit the model; the model is then unchanged.
    """
    make_config = METHODS[method.type].peft_config
    if make_config is None:
        return train_everything(model)
    config = make_config(method)
    # PEFT has no masked-LM task type; without one it wraps the model and adds nothing.
    config.task_type = None if task_type == "MASKED_LM" else task_type
    if task_type == "SEQ_CLS":
        config.modules_to_save = new_modules(model) or None
    return _inject(model, config)


def save_adapter(model: nn.Module, directory: Path) -> None:
    """Write everything that trained, as safetensors: adapters, norms, classifier head; for ft the whole model."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(model, PeftModel):
        # Embeddings are frozen in every method here; "auto" would ask the hub whether the vocabulary was resized.
        model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    else:
        save_full(model, directory)


def load_adapter(model: PreTrainedModel, *, method: MethodConfig, directory: Path) -> nn.Module:
    """The trained model again: `model` is the untouched base. Raises OutputError when the files do not fit the method or the base."""
    make_config = METHODS[method.type].peft_config
    if make_config is None:
        return load_full(model, directory)
    return load_peft(model, directory, config_cls=type(make_config(method)), inject=_inject)


def trainable_parameter_count(model: nn.Module) -> int:
    """Numbers that an optimizer would change; a tied weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _inject(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    if isinstance(config, LoraConfig):
        _resolve_lora_targets(config, model)
    wrapped = get_peft_model(model, config)
    upcast_saved_modules(wrapped, adapter="default")
    return wrapped


def _resolve_lora_targets(config: LoraConfig, model: PreTrainedModel) -> None:
    """PEFT's own table differs from ours here and there, and its error names no layers."""
    model_type = model.config.model_type
    if not isinstance(config.target_modules, str):
        config.target_modules = resolve_targets(config.target_modules, linear_paths=linear_paths(model), method="lora", model_type=model_type)
