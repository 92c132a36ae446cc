"""Packing of rows in numbers: tokens that are computed for each token of a row, padded and packed, on long-tailed lengths; and the time of a step.

python tests/benchmarks/bench_row_packing.py [--rows N] [--batch-size N] [--steps N] [--json FILE]

Lengths are drawn from a log-normal distribution, median 90 tokens and 1 % beyond 900, as instruction data have them, in the batches of training: both ways
compute the same rows in the same steps. `--steps 0` counts only.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from results import Result, ratio, write
from transformers import LlamaConfig, LlamaForCausalLM

from loretta_core.tasks.base import Choice, Example
from loretta_core.tasks.chat.packing import MOST_WASTE, packed_scores, spread
from loretta_core.tasks.collate import training_batches
from loretta_core.tasks.formats.label_logits import logits_at

MEDIAN, SPREAD, LONGEST = 90, 1.0, 1024
VOCABULARY = 1000


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=0, help="training steps that are timed both ways")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    batches = list(islice(training_batches(rows(options.rows), batch_size=options.batch_size, seed=0), options.rows // options.batch_size))
    results = [*counted(batches), *(timed(batches[: options.steps]) if options.steps else [])]
    for one in results:
        print(f"{one.name}: {one.value:.4g} {one.unit}{one.verdict}")
    if options.json:
        write(options.json, results, quick=options.steps == 0, device="cuda" if torch.cuda.is_available() else "cpu")


def rows(count: int) -> list[Example]:
    """Return rows of long-tailed lengths, the second half of each learned."""
    draw = random.Random(0)
    found = []
    for _ in range(count):
        length = min(LONGEST, max(8, round(math.exp(draw.gauss(math.log(MEDIAN), SPREAD)))))
        tokens = draw.choices(range(VOCABULARY), k=length)
        found.append(Example({"input_ids": tokens}, 0, choices=(Choice(tokens, length // 2, learned=tuple(range(length - length // 2, length))),)))
    return found


def counted(batches: Sequence[Sequence[Example]]) -> list[Result]:
    """Count the tokens of an epoch, as they are computed over those of the rows."""
    lengths = [[len(example.inputs["input_ids"]) for example in batch] for batch in batches]
    useful = sum(map(sum, lengths))
    shuffled = [length for batch in lengths for length in batch]
    random.Random(0).shuffle(shuffled)
    size = len(lengths[0])
    groups = [(batch, spread(batch)) for batch in lengths]
    packed = sum(len(group) * max(sum(batch[row] for row in part) for part in group) for batch, group in groups)
    limit = 1 + MOST_WASTE
    return [
        Result(
            "tokens computed for one of a row, padded, rows in any order", _padded([shuffled[i : i + size] for i in range(0, len(shuffled), size)]) / useful, ""
        ),
        Result("tokens computed for one of a row, padded, rows of similar length", _padded(lengths) / useful, ""),
        Result("tokens computed for one of a row, packed", packed / useful, "", target=f"<= {limit:g}", met=packed / useful <= limit),
    ]


def _padded(batches: Sequence[Sequence[int]]) -> int:
    return sum(len(batch) * max(batch) for batch in batches)


def timed(batches: Sequence[Sequence[Example]]) -> list[Result]:
    """Time forward and backward of a small Llama, padded and packed."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=1408, max_position_embeddings=LONGEST
    )
    model = LlamaForCausalLM(config).to(device)
    packed = _seconds(lambda batch: packed_scores(model, batch, form="positions", pad=0, device=device).mean(), batches, device)
    padded = _seconds(lambda batch: _padded_loss(model, batch, device), batches, device)
    return [ratio("seconds of a step, padded over packed, Llama of 8 layers and width 512", packed / len(batches), padded / len(batches))]


def _padded_loss(model: LlamaForCausalLM, batch: Sequence[Example], device: torch.device) -> torch.Tensor:
    longest = max(len(example.choices[0].tokens) for example in batch)
    ids = torch.tensor([example.choices[0].tokens + [0] * (longest - len(example.choices[0].tokens)) for example in batch], device=device)
    real = torch.tensor([[1] * len(example.choices[0].tokens) + [0] * (longest - len(example.choices[0].tokens)) for example in batch], device=device)
    places = torch.tensor([(row, place) for row, example in enumerate(batch) for place in example.choices[0].learned], device=device)
    inputs = {"input_ids": ids, "attention_mask": real}
    logits = logits_at(model, inputs, sequence_T=places[:, 0], position_T=places[:, 1] - 1)
    return -torch.nn.functional.cross_entropy(logits.float(), ids[places[:, 0], places[:, 1]])


def _seconds(loss, batches: Sequence[Sequence[Example]], device: torch.device) -> float:
    for batch in batches[:1]:
        loss(batch).backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for batch in batches:
        loss(batch).backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
