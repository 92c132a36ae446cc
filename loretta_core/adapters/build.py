"""MethodConfig → a model ready to train, and back from disk.

`METHODS` is the whole zoo, one line per method. PEFT methods give a `PeftModel` with the base frozen; `ft` gives the model itself. Trainable parameters are
fp32 (for ft: the base's own dtype).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from loretta_core.adapters import peft_methods
from loretta_core.adapters.full import load_full, save_full, train_everything
from loretta_core.adapters.io.saved_modules import new_modules, upcast_saved_modules
from loretta_core.adapters.io.strict_loading import load_peft
from loretta_core.adapters.tuners.bitfit import BitfitConfig
from loretta_core.adapters.tuners.bottleneck import BottleneckConfig
from loretta_core.adapters.tuners.loretta_adp import LorettaAdpConfig
from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig
from loretta_core.config.method import Adapters, Bitfit, LorettaAdp, LorettaRep, MethodConfig
from loretta_core.errors import MethodError
from loretta_core.support import check_supported

TaskType = Literal["SEQ_CLS", "MASKED_LM", "CAUSAL_LM"]


@dataclass(frozen=True)
class Method:
    """One entry of the zoo. `peft_config` is None for methods that need no adapter."""

    peft_config: Callable[..., PeftConfig] | None
    identity_at_init: bool = True
    """The adapted model equals its base at step 0. Exempt: prompts and prefixes, which are a new input, and `peft`, which may name any method."""
    merges: bool = True
    """`merge_and_unload` gives a plain model with the same function."""


def _loretta_adp(method: LorettaAdp) -> LorettaAdpConfig:
    return LorettaAdpConfig(**method.model_dump(exclude={"type"}))


def _loretta_rep(method: LorettaRep) -> LorettaRepConfig:
    return LorettaRepConfig(**method.model_dump(exclude={"type"}))


def _adapters(method: Adapters) -> BottleneckConfig:
    return BottleneckConfig(**method.model_dump(exclude={"type"}))


def _bitfit(method: Bitfit) -> BitfitConfig:
    return BitfitConfig()


METHODS: dict[str, Method] = {
    "loretta_adp": Method(_loretta_adp, merges=False),
    "loretta_rep": Method(_loretta_rep),
    "adapters": Method(_adapters, merges=False),
    "lora": Method(peft_methods.lora_config),
    "ia3": Method(peft_methods.ia3_config),
    "prompt": Method(peft_methods.prompt_config, identity_at_init=False, merges=False),
    "prefix": Method(peft_methods.prefix_config, identity_at_init=False, merges=False),
    "ptune": Method(peft_methods.ptune_config, identity_at_init=False, merges=False),
    "bitfit": Method(_bitfit),
    "peft": Method(peft_methods.any_peft_config, identity_at_init=False),
    "ft": Method(None),
}


_HEADS_PEFT_MISSES = {"t5": ("classification_head",)}
"""PEFT trains heads named `classifier` or `score`."""


def apply_method(model: PreTrainedModel, *, method: MethodConfig, task_type: TaskType) -> nn.Module:
    """Make `model` trainable in place and return what to train and call. New weights are drawn from torch's global generator.

    Raises MethodError when the method does not fit the model; the model is then unchanged.
    """
    check_supported(method.type, config=model.config.to_dict(), head=task_type == "SEQ_CLS")
    make_config = METHODS[method.type].peft_config
    if make_config is None:
        return train_everything(model)
    config: Any = make_config(method)
    # PEFT has no masked-LM task type; without one it wraps the model and adds nothing.
    config.task_type = None if task_type == "MASKED_LM" else task_type
    if task_type == "SEQ_CLS":
        if "modules_to_save" not in config.to_dict():
            raise MethodError(f"{type(config).__name__} of PEFT trains no classification head; use a task with a prompt")
        config.modules_to_save = [*new_modules(model), *_HEADS_PEFT_MISSES.get(model.config.model_type, ())] or None
    return _inject(model, config)


def save_adapter(model: nn.Module, directory: Path) -> None:
    """Write everything that trained, as safetensors: adapters, norms, classifier head; for ft the whole model."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(model, PeftModel):
        # Embeddings are frozen in every method here; "auto" would ask the hub whether the vocabulary was resized.
        model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    else:
        save_full(model, directory)


def load_adapter(model: PreTrainedModel, directory: str | Path, *, method: MethodConfig | None = None) -> nn.Module:
    """The trained model again: `model` is the untouched base.

    As `PeftModel.from_pretrained`, but strict, with trainable parameters, and the base stays as it was when the files do not fit it.

    Args:
        method: what the files must hold; None takes any adapter (not the whole model that `ft` saves).
    Raises OutputError when the files do not fit the method or the base.
    """
    expected = None
    if method is not None:
        make_config = METHODS[method.type].peft_config
        if make_config is None:
            return load_full(model, Path(directory))
        expected = type(make_config(method))
    return load_peft(model, Path(directory), expected=expected, inject=_inject_saved, twins=_TWINS)


_TWINS = (LorettaAdpConfig, LorettaRepConfig, BottleneckConfig, BitfitConfig, LoraConfig, IA3Config)
"""PEFT's other methods may compute with the base's values while they are injected, which a twin without memory does not have."""


def merge_adapter(model: PeftModel) -> PreTrainedModel:
    """The base model with the adapter folded in, of the base's own class; `model` is used up. Raises MethodError for methods that cannot be merged."""
    # PEFT 0.21 stumbles over trained heads that are more than one layer (RoBERTa's): it looks for their `weight`. So they are put in place first.
    for path, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            model.set_submodule(path, module.modules_to_save[module.active_adapters[0]])
    return model.merge_and_unload()


def trainable_parameter_count(model: nn.Module) -> int:
    """Numbers that an optimizer would change; a tied weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _inject(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    wrapped = peft_methods.inject(model, config)
    upcast_saved_modules(wrapped, adapter="default")
    return wrapped


def _inject_saved(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    # PEFT stores the prompt or prefix that a network computed, not the network: such an adapter is complete for predicting and cannot be trained further.
    config.inference_mode = isinstance(config, PromptEncoderConfig) or (isinstance(config, PrefixTuningConfig) and config.prefix_projection)
    wrapped = _inject(model, config)
    return wrapped.requires_grad_(False) if config.inference_mode else wrapped
