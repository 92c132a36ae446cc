"""Method settings → a model ready to train, and back from disk.

The table of methods is `loretta_core/methods/table.py`; each descriptor there names the PEFT config class to make. PEFT methods give a `PeftModel` with the
base frozen; `ft` gives the model itself. Trainable parameters are fp32 (for ft: the base's own dtype).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from peft import PeftConfig, PeftModel
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from loretta_core.adapters import peft_methods
from loretta_core.adapters.full import load_full, save_full, train_everything
from loretta_core.adapters.io.saved_modules import HEADS_PEFT_MISSES, new_modules, upcast_saved_modules
from loretta_core.adapters.io.strict_loading import load_peft
from loretta_core.adapters.prompt_learning import stores_no_network
from loretta_core.config.method import MethodConfig
from loretta_core.errors import MethodError
from loretta_core.methods import METHODS
from loretta_core.support import check_supported

TaskType = Literal["SEQ_CLS", "TOKEN_CLS", "MASKED_LM", "CAUSAL_LM"]
CLASSIFIES = ("SEQ_CLS", "TOKEN_CLS")
"""Task types whose classification head trains with the adapter."""


def apply_method(model: PreTrainedModel, *, method: MethodConfig, task_type: TaskType, revision: str | None = None) -> nn.Module:
    """Make `model` trainable in place and return what to train and call. New weights are drawn from torch's global generator.

    Args:
        revision: of the base model on the hub, which the saved adapter names.
    Raises MethodError when the method does not fit the model; the model is then unchanged.
    """
    check_supported(method.type, config=model.config.to_dict(), head=task_type in CLASSIFIES)
    config: Any = peft_config(method)
    if config is None:
        return train_everything(model)
    # PEFT has no masked-LM task type; without one it wraps the model and adds nothing.
    config.revision = revision
    config.task_type = None if task_type == "MASKED_LM" else task_type
    if task_type in CLASSIFIES:
        if "modules_to_save" not in config.to_dict():
            raise MethodError(f"{type(config).__name__} of PEFT trains no classification head; use a task with a prompt")
        config.modules_to_save = [*new_modules(model), *(name for name, _ in model.named_children() if name in HEADS_PEFT_MISSES)] or None
    return _inject(model, config)


def peft_config(method: MethodConfig) -> PeftConfig | None:
    """Return the PEFT config with a method's settings, or None for full fine-tuning. Raises MethodError for settings that PEFT refuses."""
    return None if method.peft_config is None else _imported(method.peft_config)(**method.peft_arguments())


def save_adapter(model: nn.Module, directory: Path) -> None:
    """Write everything that trained, as safetensors: adapters, norms, classifier head; for ft the whole model."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(model, PeftModel):
        # Embeddings are frozen in every method here; "auto" would ask the hub whether the vocabulary was resized.
        model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    else:
        save_full(model, directory)


def load_adapter(model: PreTrainedModel, directory: str | Path, *, method: MethodConfig | None = None) -> nn.Module:
    """Return the trained model again; `model` is the untouched base.

    As `PeftModel.from_pretrained`, but strict, with trainable parameters, and the base stays as it was when the files do not fit it.

    Args:
        method: what the files must hold; None takes any adapter (not the whole model that `ft` saves).
    Raises OutputError when the files do not fit the method or the base.
    """
    expected = None
    if method is not None:
        config = peft_config(method)
        if config is None:
            return load_full(model, Path(directory))
        expected = type(config)
    checked_first = tuple(_imported(each.peft_config) for each in METHODS.values() if each.injects_on_meta and each.peft_config is not None)
    return load_peft(model, Path(directory), expected=expected, inject=_inject_saved, checked_first=checked_first)


def merge_adapter(model: PeftModel) -> PreTrainedModel:
    """Return the base model with the adapter folded in, of the base's own class; `model` is used up. Raises MethodError for methods that cannot be merged."""
    # PEFT 0.21 stumbles over trained heads that are more than one layer (RoBERTa's): it looks for their `weight`. So they are put in place first.
    for path, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            model.set_submodule(path, module.modules_to_save[module.active_adapters[0]])
    return model.merge_and_unload()


def trainable_parameter_count(model: nn.Module) -> int:
    """Return how many numbers an optimizer would change; a tied weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _imported(name: str) -> Any:
    """Return the object that `module:attribute` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _inject(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    wrapped = peft_methods.inject(model, config)
    upcast_saved_modules(wrapped, adapter="default")
    return wrapped


def _inject_saved(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    config.inference_mode = stores_no_network(config)
    wrapped = _inject(model, config)
    return wrapped.requires_grad_(False) if config.inference_mode else wrapped
