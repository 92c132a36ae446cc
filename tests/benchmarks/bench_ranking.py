"""Training on ranked answers against one plain step of the tokens that it needs, and encoding against the plain batched tokenizer.

    python tests/benchmarks/bench_ranking.py [--quick] [--only TEXT] [--out bench_ranking.json]

    needed time     forward and backward of as many sequences of as many tokens, all of them text, with logits at as many positions
    plain rate      rows a second of `tokenizer(texts)`, one call for all rows, one text a row

One process, one thread, CPU, fp32; CPU time, as in `bench_zo.py`. The sides of a comparison take turns and their medians are divided. The models have random
weights, the widths of SmolLM2-135M, OPT-125M and GPT-2, and 4 layers; a LoRA of rank 8 trains. `--quick` has 1 layer and few repetitions.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from results import Result, write
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.answer_tree import can_branch
from loretta_core.tasks.base import Choice, Example
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.candidates import CandidateRanking
from loretta_core.tasks.formats.generation import Generation
from loretta_core.tasks.formats.label_logits import logits_at
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt

CPU = torch.device("cpu")
MODELS = {
    "llama": {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3},
    "opt": {"hidden_size": 768, "ffn_dim": 3072, "num_attention_heads": 12, "word_embed_proj_dim": 768},
    "gpt2": {},
}
TASKS = {"one token": (16, 30, (1, 1)), "2 and 3 tokens": (16, 30, (2, 3)), "20 answers of 4 tokens": (4, 20, (4,) * 20)}
"""name → rows of a batch, tokens of a prompt, tokens of each answer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model and fewer repetitions: rough medians")
    parser.add_argument("--only", default="", help="only the results whose name has this text, e.g. llama")
    parser.add_argument("--out", type=Path, help="write the report as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for key, make in _all_results(quick=arguments.quick):
        if arguments.only in key:
            results.append(make())
            print(f"{results[-1].name}: {results[-1].value:.2f} {results[-1].unit}{results[-1].verdict}", flush=True)
    if arguments.out:
        write(arguments.out, results, quick=arguments.quick, machine=platform.machine())


def _all_results(*, quick: bool) -> Iterator[tuple[str, Callable[[], Result]]]:
    repeats, layers = (3, 1) if quick else (9, 4)
    for kind in MODELS:
        for task in TASKS:
            yield f"training {kind}, {task}", partial(_training, kind, task, layers=layers, repeats=repeats)
    for kind in ("prompt", "causal", "written"):
        yield f"encoding {kind}", partial(_encoding, kind, rows=500 if quick else 4000, repeats=3 * repeats)


def _training(kind: str, task: str, *, layers: int, repeats: int) -> Result:
    model, tokenizer = _model(kind, layers=layers), load_tokenizer(Pretrained(type="pretrained", name="toy-llama"))
    rows, prompt, answers = TASKS[task]
    draw = random.Random(0)
    examples = [_example(draw, prompt=prompt, answers=answers) for _ in range(rows)]
    objective = CandidateRanking(tokenizer, max_length=512, rank_loss=True)
    collate = Collator(tokenizer, device=CPU, trees=can_branch(model))
    batch = collate(examples)
    assert batch.places is not None
    shape = batch.inputs["input_ids"].shape
    plain = {"input_ids": torch.randint(5, 1000, shape), "attention_mask": torch.ones(shape, dtype=torch.long)}

    def ours() -> None:
        objective.loss(model, collate(examples)).backward()

    def needed() -> None:
        logits_UV = logits_at(model, plain, sequence_T=batch.places.sequence_U, position_T=batch.places.position_U)
        logits_UV.float().log_softmax(dim=-1)[:, 0].mean().backward()

    own_s, needed_s = _medians(ours, needed, repeats=repeats)
    ratio = own_s / needed_s
    return Result(f"training {kind}, {task}", ratio, "times the needed time", own_s, needed_s, "<= 1.1", ratio <= 1.1)


def _encoding(kind: str, *, rows: int, repeats: int) -> Result:
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-bert" if kind == "prompt" else "toy-llama"))
    draw = random.Random(0)
    words = ["the", "a", "film", "was", "long", "and", "its", "acting", "good", "so", "i", "would", "see", "it", "again", "with", "some", "friends"]
    texts = [" ".join(draw.choices(words, k=draw.randint(8, 40))) for _ in range(rows)]
    objective, own = _objective(kind, tokenizer, texts)
    plain = [row.text.get("prompt") or f"{row.text['text']} it was {tokenizer.mask_token} ." for row in own]
    own_s, plain_s = _medians(lambda: objective.encode(own), lambda: tokenizer(plain), repeats=repeats)
    ratio = plain_s / own_s
    note = f"{rows / own_s:.0f} against {rows / plain_s:.0f} rows/s"
    return Result(f"encoding {kind}", ratio, "of the plain rate", own_s, plain_s, ">= 0.9", ratio >= 0.9, note)


def _objective(kind: str, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> tuple[MaskedPrompt | CandidateRanking | Generation, list[Row]]:
    if kind == "prompt":
        rows = [Row({"text": text}, 0) for text in texts]
        return MaskedPrompt(tokenizer, template="{text} it was {mask} .", verbalizer=["bad", "good"], max_length=128), rows
    if kind == "causal":
        rows = [Row({"prompt": f"{text} It was"}, 0, candidates=(" terrible", " great")) for text in texts]
        return CandidateRanking(tokenizer, max_length=256, rank_loss=True), rows
    rows = [Row({"prompt": f"{text} Answer:"}, 0, answers=("good",), lead=" ") for text in texts]
    return Generation(tokenizer, max_length=256, max_new_tokens=8), rows


def _example(draw: random.Random, *, prompt: int, answers: tuple[int, ...]) -> Example:
    shared = [1, *(draw.randrange(5, 1000) for _ in range(prompt))]
    choices = tuple(Choice([*shared, *(draw.randrange(5, 1000) for _ in range(size))], size) for size in answers)
    return Example({"input_ids": max((choice.tokens for choice in choices), key=len)}, 0, choices=choices)


def _model(kind: str, *, layers: int) -> PeftModel:
    torch.manual_seed(0)
    name = "n_layer" if kind == "gpt2" else "num_hidden_layers"
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **MODELS[kind], **{name: layers}))
    targets = ["c_attn"] if kind == "gpt2" else ["q_proj", "v_proj"]
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=targets, r=8)).eval()


def _medians(*sides: Callable[[], object], repeats: int) -> list[float]:
    """Return the median CPU time of each side, which take turns."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, own in zip(sides, times, strict=True):
            started = time.process_time()
            side()
            own.append(time.process_time() - started)
    return [statistics.median(own) for own in times]


if __name__ == "__main__":
    main()
