"""Prompt tuning, prefix tuning and P-tuning: PEFT's models, with the three things that PEFT 0.21 leaves open here.

* Masked-LM models: PEFT has no task type for them. Its feature extraction does the same work, so it is what the saved config names.
* `disable_adapter` fails for models that cannot generate, and leaves the trained head in place; here it restores the base exactly.
* Logits: one row per token of the text, as from the base model; PEFT's own models give those of the virtual tokens first.

With a prompt, an encoder's classification head reads the first virtual token in place of [CLS] (as with PEFT): both see the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import (
    PeftConfig,
    PeftModel,
    PeftModelForCausalLM,
    PeftModelForFeatureExtraction,
    PeftModelForSequenceClassification,
    PeftModelForTokenClassification,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptLearningConfig,
)
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from transformers import PreTrainedModel

from loretta_core.errors import MethodError


class PromptModel(PeftModel):
    """A model with a prompt or prefix that can be disabled and never merges. Abstract: a subclass names one of PEFT's classes after it."""

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        wrappers = [module for module in self.modules() if isinstance(module, AuxiliaryTrainingWrapper)]
        was_disabled = self._adapters_disabled
        try:
            self._adapters_disabled = True
            for wrapper in wrappers:
                wrapper.enable_adapters(False)
            yield
        finally:
            self._adapters_disabled = was_disabled
            for wrapper in wrappers:
                wrapper.enable_adapters(not was_disabled)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("adapter_names") is not None:
            raise MethodError("adapter_names: a prompt or prefix is an input of the whole batch, so its rows cannot have adapters of their own")
        if self._adapters_disabled:
            return self.base_model(*args, **kwargs)
        return super().forward(*args, **kwargs)

    def merge_and_unload(self, *args: Any, **kwargs: Any) -> nn.Module:
        raise MethodError(_CANNOT_MERGE)

    def merge_adapter(self, *args: Any, **kwargs: Any) -> None:
        raise MethodError(_CANNOT_MERGE)


_CANNOT_MERGE = (
    "a prompt or prefix cannot be merged into the weights: it is an input, not a change of a layer. Keep the adapter (`save_pretrained`), or train loretta_rep "
    "or lora, which merge exactly."
)


class PromptClassifier(PromptModel, PeftModelForSequenceClassification):
    """A prompted model with a classification head."""


class PromptTokenClassifier(PromptModel, PeftModelForTokenClassification):
    """A prompted model with a classification head on every token."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _cut_to_text(super().forward(*args, **kwargs), *args, **kwargs)


class PromptCausalLM(PromptModel, PeftModelForCausalLM):
    """A prompted model with a language-model head that reads from left to right."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _cut_to_text(super().forward(*args, **kwargs), *args, **kwargs)


class PromptMaskedLM(PromptModel, PeftModelForFeatureExtraction):
    """A prompted model with a masked-LM head."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        # PEFT drops token types with a warning at every call. All zero is what models assume without them; prompts are for single texts.
        kwargs.pop("token_type_ids", None)
        return _cut_to_text(super().forward(*args, **kwargs), *args, **kwargs)


def prompt_model(model: PreTrainedModel, config: PromptLearningConfig) -> PromptModel:
    """Wrap `model` as `config.task_type` says; in place, as `get_peft_model` does. No task type means masked LM."""
    config.base_model_name_or_path = model.name_or_path or None
    _fill_in_sizes(config, model)
    match config.task_type:
        case "SEQ_CLS":
            return PromptClassifier(model, config)
        case "TOKEN_CLS":
            return PromptTokenClassifier(model, config)
        case "CAUSAL_LM":
            return PromptCausalLM(model, config)
    config.task_type = "FEATURE_EXTRACTION"
    return PromptMaskedLM(model, config)


def _fill_in_sizes(config: PromptLearningConfig, model: PreTrainedModel) -> None:
    """Give PEFT the sizes that it looks for under other names than this config.json has (DistilBERT's `dim`); heads only matter for a prefix."""
    names = model.config.to_dict().keys()
    if config.token_dim is None and not names & {"hidden_size", "n_embd", "d_model"}:
        config.token_dim = model.config.hidden_size
    if config.num_attention_heads is None and not names & {"num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"}:
        config.num_attention_heads = getattr(model.config, "num_attention_heads", 1)


def stores_no_network(config: PeftConfig) -> bool:
    """Return whether a saved adapter holds what a network computed, the prompt or prefix, and not the network: it can predict and not be trained further."""
    return isinstance(config, PromptEncoderConfig) or (isinstance(config, PrefixTuningConfig) and config.prefix_projection)


def _cut_to_text(output: Any, input_ids: torch.Tensor | None = None, *, inputs_embeds: torch.Tensor | None = None, **_: Any) -> Any:
    """Drop the logits of the virtual tokens, which come first; the other arguments are those of the model's forward."""
    text = input_ids if input_ids is not None else inputs_embeds
    assert text is not None
    output.logits = output.logits[:, -text.shape[1] :]
    return output
