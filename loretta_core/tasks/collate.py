"""Collates examples into batches of rows of similar length, padded to the longest; the order is a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.answer_tree import AnswerTree, answer_tree, tree_inputs, tree_positions
from loretta_core.tasks.base import AnswerPositions, Batch, Choice, Example, predicted_alone, token_counts

OTHER_TOKEN = -100
"""Label of a token that begins no word: cross-entropy leaves it out."""
POOL = 32
"""Number of batches whose rows are sorted by length together: more would pad less, and mix the rows of an epoch less."""


class Collator:
    """Pads on the right with the tokenizer's padding token and moves to a device.

    Choices of a row become one sequence where they do not branch, and where the model reads `trees` also where they do (`answer_tree.py`).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, device: torch.device, trees: bool = False) -> None:
        self._tokenizer = tokenizer
        self._trees = trees
        self.device = device

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Pad and stack examples; int64 (numbers to predict are fp32), on one device."""
        if any(len(example.choices) > 1 for example in examples):
            trees = [answer_tree(example.choices) for example in examples]
            branches = any(tree.branches for tree in trees)
            if self._trees or not branches:
                return self._shared(examples, trees, branches=branches)
        choices = [choice for example in examples for choice in example.choices]
        sequences = [{"input_ids": choice.tokens} for choice in choices] or [dict(example.inputs) for example in examples]
        inputs = self._padded(sequences)
        masks = [example.mask_position for example in examples]
        return Batch(
            inputs,
            _labels(examples, length=inputs["input_ids"].shape[1]).to(self.device),
            None if masks[0] is None else torch.tensor(masks, device=self.device),
            scored_S=torch.tensor([choice.scored for choice in choices], device=self.device) if choices else None,
            choices_B=tuple(len(example.choices) for example in examples) if choices else (),
            examples=tuple(examples) if choices or isinstance(examples[0].label, tuple) else (),
            places=self._places(choices) if any(choice.learned for choice in choices) else None,
        )

    def _places(self, choices: Sequence[Choice]) -> AnswerPositions:
        """Return the positions that are learned, as the choices name them."""
        learned = [(sequence, position, choice.tokens[position]) for sequence, choice in enumerate(choices) for position in choice.learned]
        sequence_T, position_T, token_T = torch.tensor(learned, device=self.device).T
        return predicted_alone(sequence_T, position_T, token_T=token_T, choice_T=sequence_T)

    def padded_to(self, batch: Batch, length: int) -> Batch:
        """Return the batch padded to `length` tokens."""
        fill = {"input_ids": self._tokenizer.pad_token_id, "token_type_ids": self._tokenizer.pad_token_type_id}
        more = length - batch.inputs["input_ids"].shape[1]
        inputs = {name: F.pad(values, (0, more), value=fill.get(name, 0)) for name, values in batch.inputs.items()}
        # In a mask of pairs, padding is seen by nothing and sees everything: what sees nothing would become NaN.
        inputs = {name: F.pad(values, (0, 0, 0, more), value=1) if values.ndim == 4 else values for name, values in inputs.items()}
        of_words = bool(batch.examples and batch.examples[0].word_positions)
        return replace(batch, inputs=inputs, labels_B=F.pad(batch.labels_B, (0, more), value=OTHER_TOKEN) if of_words else batch.labels_B)

    def _shared(self, examples: Sequence[Example], trees: Sequence[AnswerTree], *, branches: bool) -> Batch:
        """Return a batch of one sequence a row."""
        if branches:
            inputs = {name: values.to(self.device) for name, values in tree_inputs(trees, pad=self._tokenizer.pad_token_id).items()}
        else:
            inputs = self._padded([{"input_ids": tree.tokens} for tree in trees])
        return Batch(
            inputs,
            torch.tensor([example.label for example in examples], device=self.device),
            choices_B=tuple(len(example.choices) for example in examples),
            examples=tuple(examples),
            places=tree_positions(trees, [example.choices for example in examples]).to(self.device),
        )

    def _padded(self, sequences: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        # On the right whatever the tokenizer prefers: padding before the text would shift BERT's positions, and a decoder would see it.
        padded = self._tokenizer.pad([dict(one) for one in sequences], padding_side="right", return_tensors="pt")
        return {key: value.to(self.device) for key, value in padded.items()}


def _labels(examples: Sequence[Example], *, length: int) -> Tensor:
    """Return the labels of the rows; where words have them, each at the first token of its word, and −100 elsewhere."""
    if not examples[0].word_positions:
        return torch.tensor([example.label for example in examples])
    labels_BL = torch.full((len(examples), length), OTHER_TOKEN)
    for labels_L, example in zip(labels_BL, examples, strict=True):
        assert isinstance(example.label, tuple), "words have a tag each"
        there = [(position, tag) for position, tag in zip(example.word_positions, example.label, strict=True) if position >= 0]
        for position, tag in there:
            labels_L[position] = tag
    return labels_BL


def training_batches(examples: Sequence[Example], *, batch_size: int, seed: int, start_step: int = 0) -> Iterator[list[Example]]:
    """Yield endless batches of exactly `batch_size` rows of similar length, reshuffled every epoch; `start_step` skips ahead without computing.

    The rows come in a stream of epochs, each a permutation drawn from (seed, epoch). The stream is cut into pools of up to POOL batches, never longer than an
    epoch; a pool is sorted by length, cut into batches, and these are shuffled. Every row is seen equally often, and batch t is a function of (seed, t) alone.
    """
    lengths = token_counts(examples)
    step = start_step
    while True:
        pool_steps = max(1, min(POOL, len(examples) // batch_size))
        pool = _pool(lengths, batch_size=batch_size, steps=pool_steps, seed=seed, number=step // pool_steps)
        for chosen in pool[step % pool_steps :]:
            yield [examples[index] for index in chosen]
            step += 1


def evaluation_batches(examples: Sequence[Example], *, batch_size: int) -> Iterator[tuple[list[int], list[Example]]]:
    """Yield (original indices, examples) of each batch, sorted by length so that little padding is computed."""
    order = sorted(range(len(examples)), key=token_counts(examples).__getitem__)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield chosen, [examples[index] for index in chosen]


def _pool(lengths: Sequence[int], *, batch_size: int, steps: int, seed: int, number: int) -> list[list[int]]:
    """Return the row indices of the batches of pool `number`, in the order of training. Rows of equal length stay in the order of the permutation."""
    size, rows = steps * batch_size, len(lengths)
    stream = range(number * size, (number + 1) * size)
    orders = {epoch: _shuffled(rows, seed=seed * 1_000_003 + epoch) for epoch in range(stream[0] // rows, stream[-1] // rows + 1)}
    chosen = sorted((orders[place // rows][place % rows] for place in stream), key=lengths.__getitem__)
    return [chosen[batch * batch_size : (batch + 1) * batch_size] for batch in _shuffled(steps, seed=seed * 1_000_003 + 500_000 + number)]


def _shuffled(count: int, *, seed: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
