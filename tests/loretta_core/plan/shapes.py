"""Random models of real shapes on disk, each with a tokenizer of its own, and texts of thirty words for them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 0}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_LLAMA = {"pad_token_id": 0, "vocab_size": 8000, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 8}
_ONE_B = {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 20, "num_attention_heads": 16}
CONFIGS = {
    "roberta-base": ("roberta", _ROBERTA),
    "roberta-large": ("roberta", {**_ROBERTA, **_LARGE}),
    "llama-small": ("llama", _LLAMA),
    "llama-grouped": ("llama", {**_LLAMA, "num_key_value_heads": 2}),
    "llama-1b": ("llama", {**_LLAMA, **_ONE_B}),
}


def save_shape(directory: Path, name: str) -> Path:
    """Save a model and its tokenizer to `directory`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, LlamaForCausalLM, PreTrainedTokenizerFast, RobertaForMaskedLM

    words = ["<pad>", "<eos>", "<unk>", "<mask>", *(f"w{index}" for index in range(60))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(directory)
    family, sizes = CONFIGS[name]
    torch.manual_seed(0)
    {"roberta": RobertaForMaskedLM, "llama": LlamaForCausalLM}[family](AutoConfig.for_model(family, **sizes)).save_pretrained(directory)
    return directory


def save_rows(directory: Path, *, rows: int = 80) -> Path:
    """Write labelled texts."""
    path = directory / "rows.jsonl"
    generator = torch.Generator().manual_seed(0)
    texts = [" ".join(f"w{index}" for index in torch.randint(0, 60, (30,), generator=generator).tolist()) for _ in range(rows)]
    path.write_text("\n".join(json.dumps({"text": text, "label": ("bad", "good")[number % 2]}) for number, text in enumerate(texts)))
    return path


def task_of(rows: Path, *, objective: str) -> str:
    """Return the task of those texts, as a sweep file writes it."""
    asked = {"head": "", "prompt": ', template="{text} {mask}", verbalizer=["w1", "w2"]', "causal": ', template="{text}", verbalizer=[" w1", " w2"]'}[objective]
    return f'{{type="jsonl", train="{rows}", validation="{rows}", text=["text"], labels=["bad", "good"], objective="{objective}"{asked}}}'


def prompted(name: str) -> str:
    """Return the objective that asks a model of this family without a fresh head."""
    return "causal" if CONFIGS[name][0] == "llama" else "prompt"


def warm_up() -> None:
    """Train a small cell for three steps, so that every import and every pool that a process makes once is there."""
    from loretta_core.config import cell_from_overrides
    from tests.loretta_core.plan.test_memory import SMALL, predicted_and_live

    predicted_and_live(cell_from_overrides([*SMALL, "method=lora", "trainer=adam"]))
