"""The cells that `bench_packing.py` packs: checkpoints of random weights in the shapes of known models, and a task whose rows are equally long."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertConfig, LlamaConfig, PreTrainedConfig

from loretta_core.config import CellConfig, cell_from_overrides
from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.data.toy_text import NOUNS

WORDS = 96
"""toy-bert's vocabulary. RoBERTa's is larger, but logits are computed at one position of a row only."""


def cells_of(work: Sequence[str], *, method: str, trainer: str, own: bool, count: int) -> list[CellConfig]:
    """Cells that differ in learning rate, and in seed if rows are their own."""
    common = [*work, f"method={method}", f"trainer={trainer}"]
    return [cell_from_overrides([*common, f"trainer.lr={(index + 1) * 1e-5}", f"seed={index if own else 0}"]) for index in range(count)]


def random_work(
    directory: Path, config: PreTrainedConfig, *, rows: int, tokens: int, gpu: bool = False, stored: torch.dtype = torch.float32
) -> tuple[str, ...]:
    """Settings of a cell on a model of this shape, with batches of rows × tokens; files are written into the directory, once. `stored`: dtype of the weights on
    disk; a cell computes in fp32, on a GPU in bf16."""
    decoder = isinstance(config, LlamaConfig)
    model = _checkpoint(directory, config, decoder=decoder, device="cuda" if gpu else "cpu", dtype=torch.bfloat16 if gpu else stored)
    placement = ("precision=bf16", "engine.gpus=1") if gpu else ()
    return (f"model={model}", *_task(directory, tokens=tokens, decoder=decoder), f"batch_size={rows}", *placement)


def encoder(*, width: int, layers: int, dropout: float = 0.0) -> BertConfig:
    """Return an encoder in RoBERTa's proportions: 768 × 12 is base, 1024 × 24 large; its dropout is 0.1."""
    heads, inner = width // 64, 4 * width
    return BertConfig(
        vocab_size=WORDS,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=128,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


def llama_2_7b() -> LlamaConfig:
    """Return the shape of Llama-2-7B, transformers' defaults."""
    return LlamaConfig(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)


def _checkpoint(directory: Path, config: PreTrainedConfig, *, decoder: bool, device: str, dtype: torch.dtype) -> Path:
    """Save a random model with the tokenizer of the toy model of its kind."""
    family, auto = ("toy-llama", AutoModelForCausalLM) if decoder else ("toy-bert", AutoModelForMaskedLM)
    dropout = getattr(config, "hidden_dropout_prob", 0.0)
    path = directory / f"{family}-{config.hidden_size}-{config.num_hidden_layers}-{dropout}-{dtype}"
    if not path.exists():
        torch.manual_seed(0)
        with torch.device(device):
            auto.from_config(config, dtype=dtype).save_pretrained(path)
        load_tokenizer(Pretrained(type="pretrained", name=family)).save_pretrained(path)
    return path


def _task(directory: Path, *, tokens: int, decoder: bool) -> tuple[str, ...]:
    """Words without sense and their label, which an encoder fills in and a decoder writes. A word is a token of the toy tokenizers."""
    path = directory / f"{'decoder' if decoder else 'encoder'}-{tokens}.jsonl"
    words = tokens - (3 if decoder else 6)  # beginning, answer, line break; or [CLS] it was [MASK] . [SEP]
    draw = random.Random(0)
    rows = [{"text": " ".join(draw.choices(NOUNS, k=words)), "label": index % 2, "answer": "great"} for index in range(256)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompt = ("objective=prompt", "template={text} it was {mask} .", 'verbalizer=["terrible", "great"]')
    form = ("objective=causal", "template={text}", "answer=answer") if decoder else prompt
    return tuple(f"task.{setting}" for setting in ("type=jsonl", f"train={path}", f"validation={path}", *form))
