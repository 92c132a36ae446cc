"""Examples → batches, padded to the longest row in the batch; the order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, Example


class Collator:
    """Pads with the tokenizer's own rules and moves to a device."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, device: torch.device) -> None:
        self._tokenizer = tokenizer
        self.device = device

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Pad and stack; one dtype (int64; numbers to predict are fp32), one device."""
        choices = [choice for example in examples for choice in example.choices]
        sequences = [{"input_ids": choice.tokens} for choice in choices] or [dict(example.inputs) for example in examples]
        side = "right" if choices else self._tokenizer.padding_side  # a decoder is scored without padding before the text
        padded = self._tokenizer.pad(sequences, padding_side=side, return_tensors="pt")
        masks = [example.mask_position for example in examples]
        left = side == "left"
        shift = [padded["input_ids"].shape[1] - len(example.inputs["input_ids"]) if left else 0 for example in examples]
        return Batch(
            {key: value.to(self.device) for key, value in padded.items()},
            torch.tensor([example.label for example in examples], device=self.device),
            None if masks[0] is None else torch.tensor([(m or 0) + s for m, s in zip(masks, shift, strict=True)], device=self.device),
            scored_S=torch.tensor([choice.scored for choice in choices], device=self.device) if choices else None,
            choices_B=tuple(len(example.choices) for example in examples) if choices else (),
            examples=tuple(examples) if choices else (),
        )


def training_batches(examples: Sequence[Example], *, batch_size: int, seed: int, start_step: int = 0) -> Iterator[list[Example]]:
    """Endless batches of exactly `batch_size` rows, reshuffled every epoch; `start_step` skips ahead without computing.

    An epoch is a permutation drawn from (seed, epoch); a batch may span two epochs, so every row is seen equally often.
    """
    rows = len(examples)
    position = start_step * batch_size
    while True:
        indices = (position + offset for offset in range(batch_size))
        yield [examples[_permutation(rows, seed=seed, epoch=index // rows)[index % rows]] for index in indices]
        position += batch_size


def evaluation_batches(examples: Sequence[Example], *, batch_size: int) -> Iterator[tuple[list[int], list[Example]]]:
    """(original indices, examples), sorted by length so that little padding is computed."""
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].inputs["input_ids"]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield chosen, [examples[index] for index in chosen]


_last_permutation: dict[tuple[int, int, int], list[int]] = {}


def _permutation(rows: int, *, seed: int, epoch: int) -> list[int]:
    key = (rows, seed, epoch)
    if key not in _last_permutation:
        if len(_last_permutation) > 1:
            _last_permutation.pop(next(iter(_last_permutation)))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        _last_permutation[key] = torch.randperm(rows, generator=generator).tolist()
    return _last_permutation[key]
