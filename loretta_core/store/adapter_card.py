"""Text for the card of an adapter, from its adapter_config.json: how to load it, and what it is and where it sits.

One snippet for every card and for README: import this project, load the base, let PEFT put the adapter on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

AUTO_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
}
"""The class that loads the base of an adapter, by PEFT's task type."""

IMPORT = "import loretta_core  # registers the LoRETTA types with PEFT"


def loading_snippet(*, auto: str, arguments: str, directory: str, registers: bool = True) -> str:
    """Return Python that ends with the tuned model in `model`.

    Args:
        auto: the class of transformers that loads the base.
        arguments: of its `from_pretrained`, as Python.
        directory: of the adapter.
        registers: import this project first; LoRA does not need it.
    """
    return "\n".join(
        [
            *([IMPORT] if registers else []),
            "from peft import PeftModel",
            f"from transformers import {auto}",
            "",
            f"base = {auto}.from_pretrained({arguments})",
            f"model = PeftModel.from_pretrained(base, {directory!r})",
        ]
    )


def adapter_snippet(adapter: Mapping[str, Any], *, directory: str) -> str:
    """Return the snippet for an adapter of ours."""
    auto = AUTO_CLASSES.get(adapter.get("task_type") or "") or (adapter.get("auto_mapping") or {}).get("base_model_class") or "AutoModel"
    base, revision = adapter.get("base_model_name_or_path") or "path/to/base", adapter.get("revision")
    return loading_snippet(auto=auto, arguments=repr(base) + (f", revision={revision!r}" if revision else ""), directory=directory)


def adapter_facts(adapter: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return its type, the layers it sits on and on which side, and what else trains."""
    inputs, targets = set(adapter.get("input_modules") or ()), adapter.get("target_modules")
    names = [f"`{targets}`"] if isinstance(targets, str) else [f"`{name}`{' (input)' if name in inputs else ''}" for name in sorted(targets or ())]
    facts = [("type of adapter", str(adapter["peft_type"])), ("layers", ", ".join(names) or "none")]
    facts += [(name, f"`{json.dumps(adapter[name])}`") for name in _CHOICES if adapter.get(name)]
    if adapter.get("modules_to_save"):
        facts.append(("trained in full", ", ".join(f"`{name}`" for name in adapter["modules_to_save"])))
    return [*facts, ("norms", "trained" if adapter.get("train_norms") else "frozen")]


_CHOICES = ("exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern")
"""Settings of single layers that a card names where they are set."""
