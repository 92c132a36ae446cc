"""Read a saved PEFT adapter back, strictly: every stored tensor has a place and every place a tensor.

PEFT loads with strict=False and says nothing about what is missing; that is how the authors' package lost its trained norms.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from loretta_core.errors import OutputError

WEIGHTS = "adapter_model.safetensors"


def load_peft(
    model: PreTrainedModel, directory: Path, *, config_cls: type[PeftConfig], inject: Callable[[PreTrainedModel, PeftConfig], PeftModel]
) -> PeftModel:
    """Inject as the saved config says and fill in the saved values. Raises OutputError."""
    try:
        config = PeftConfig.from_pretrained(str(directory))
        state = load_file(directory / WEIGHTS)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise OutputError(f"{directory} holds no adapter that can be read (adapter_config.json and {WEIGHTS}): {error}") from None
    if type(config) is not config_cls:
        raise OutputError(f"the adapter in {directory} is of type {config.peft_type}, which {config_cls.__name__} does not describe")
    config.inference_mode = False
    wrapped = inject(model, config)
    expected = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    _check_same({name: tuple(value.shape) for name, value in state.items()}, {name: tuple(value.shape) for name, value in expected.items()}, directory)
    set_peft_model_state_dict(wrapped, state)
    return wrapped


def _check_same(stored: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], directory: Path) -> None:
    missing, extra = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    reshaped = [f"{name} {stored[name]} for {expected[name]}" for name in sorted(stored.keys() & expected.keys()) if stored[name] != expected[name]]
    problems = [
        f"{kind}: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        for kind, names in zip(("missing", "unknown", "other shape"), (missing, extra, reshaped), strict=True)
        if names
    ]
    if problems:
        raise OutputError(f"the adapter in {directory} belongs to another base model or method; {'; '.join(problems)}")
