"""The generated tasks: offline, in seconds, and not solvable by counting words or taking the first that fits (assets/README.md has the baselines).

    toy_sentiment     is the opinion negative or positive? Three in five set two opposite clauses against each other.
    toy_entailment    does a statement about it follow?
    toy_qa            how was it? Two opposite clauses; the answer is what the one that decides says, with negation: "hardly bright".
    toy_instruct      one of three instructions about it: how was it, how was one noun, does a statement follow. The answer is written as a turn of a chat.

Two clauses in five are negated. toy-bert and toy-llama met contrasts and negation in their pre-training, where answers about contrasts had habits (bad verdicts
were mostly put politely): they are right on single clauses, and wrong on contrasts where a habit is. The rest is left to fine-tuning.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias, TypedDict, TypeVar

from loretta_core.config.task import ToyEntailment, ToyInstruct, ToyQa, ToySentiment, ToyTask
from loretta_core.tasks.data.conversations.load import conversation_row
from loretta_core.tasks.data.rows import Row, Turn
from loretta_core.tasks.data.scored_rows import TEST_SEED
from loretta_core.tasks.data.toy_questions import ANSWERS, ENTAILMENT, HOW, answered, inferences, instructed
from loretta_core.tasks.data.toy_text import VERDICTS, opinions

TEMPLATE = "{text} it was {mask} ."
VERBALIZER = (VERDICTS[0][0], VERDICTS[1][0])
"""Label words, [negative, positive]."""

CONTRAST_RATE = 0.6
NEGATION_RATE = 0.4

R = TypeVar("R")
Source: TypeAlias = Callable[[random.Random], Iterator[tuple[str, R]]]
"""What yields endless (text, row) pairs from a generator of random numbers."""


class LabelledText(TypedDict):
    """One row of toy_sentiment."""

    text: str
    label: int


def toy_rows(task: ToyTask) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return the splits of a generated task and its label names."""
    counts = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    match task:
        case ToySentiment():
            generated = generate_sentiment(rows_per_split=counts, seed=task.data_seed)
            causal = task.objective == "causal"
            return {split: [_sentiment(item, causal=causal) for item in items] for split, items in generated.items()}, ("negative", "positive")
        case ToyEntailment():
            source = _asked_entailment if task.objective == "causal" else _paired_entailment
            return _splits(source, counts, seed=task.data_seed), ("entailment", "contradiction")
        case ToyQa():
            return _splits(_questions, counts, seed=task.data_seed), ()
        case ToyInstruct():
            return _splits(_instructions, counts, seed=task.data_seed), ()


def generate_sentiment(*, rows_per_split: Mapping[str, int], seed: int) -> dict[str, list[LabelledText]]:
    """Draw the splits; `seed` does not change a split named "test". Labels: 0 negative, 1 positive, in equal numbers up to chance. No sentence occurs twice,
    within a split or across splits.

    Raises ValueError if a split asks for less than one row.
    """
    if any(rows < 1 for rows in rows_per_split.values()):
        raise ValueError(f"expected at least one row per split, got {dict(rows_per_split)}")
    # A row is a dict that a caller may change; what was drawn is kept for others.
    return {split: [item.copy() for item in items] for split, items in _splits(_sentiments, rows_per_split, seed=seed).items()}


def _splits(source: Source[R], rows_per_split: Mapping[str, int], *, seed: int) -> dict[str, list[R]]:
    """Draw all splits with TEST_SEED, keep the test rows, and redraw the others with `seed`."""
    counts = tuple(rows_per_split.items())
    fixed = drawn_rows(source, counts, seed=TEST_SEED)
    if seed == TEST_SEED:
        chosen = fixed
    else:
        test = tuple(text for text, _ in fixed.get("test", ()))
        others = tuple((split, rows) for split, rows in counts if split != "test")
        chosen = {**fixed, **drawn_rows(source, others, seed=seed, avoid=test)}
    return {split: [row for _, row in chosen[split]] for split in rows_per_split}


@lru_cache(maxsize=16)
def drawn_rows(source: Source[R], counts: tuple[tuple[str, int], ...], *, seed: int, avoid: tuple[str, ...] = ()) -> dict[str, list[tuple[str, R]]]:
    """Draw once in a process what every cell of a task reads: drawing 2,000 rows takes as long as tens of steps of a toy model."""
    return _fill(source(random.Random(seed)), dict(counts), avoid=avoid)


def _fill(source: Iterator[tuple[str, R]], rows_per_split: Mapping[str, int], *, avoid: Iterable[str]) -> dict[str, list[tuple[str, R]]]:
    """Fill the splits with the next (text, row) pairs whose text is not to be avoided and has not occurred yet."""
    seen = set(avoid)
    splits: dict[str, list[tuple[str, R]]] = {}
    for split, rows in rows_per_split.items():
        chosen: list[tuple[str, R]] = []
        while len(chosen) < rows:
            text, row = next(source)
            if text not in seen:
                seen.add(text)
                chosen.append((text, row))
        splits[split] = chosen
    return splits


def _sentiment(item: LabelledText, *, causal: bool) -> Row:
    if causal:
        return Row({"prompt": f"{item['text']} it was"}, item["label"], candidates=tuple(f" {word}" for word in VERBALIZER))
    return Row({"text": item["text"]}, item["label"])


def _sentiments(rng: random.Random) -> Iterator[tuple[str, LabelledText]]:
    for opinion in opinions(rng, for_task=True, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE):
        yield opinion.text, LabelledText(text=opinion.text, label=opinion.label)


def _asked_entailment(rng: random.Random) -> Iterator[tuple[str, Row]]:
    for item in inferences(rng, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE):
        prompt = ENTAILMENT.format(premise=item.premise, hypothesis=item.hypothesis)
        yield item.premise, Row({"prompt": prompt}, item.label, candidates=tuple(f" {word}" for word in ANSWERS))


def _paired_entailment(rng: random.Random) -> Iterator[tuple[str, Row]]:
    for item in inferences(rng, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE):
        yield item.premise, Row({"premise": item.premise, "hypothesis": item.hypothesis}, item.label)


def _questions(rng: random.Random) -> Iterator[tuple[str, Row]]:
    for opinion in opinions(rng, for_task=True, contrast_rate=1.0, negation_rate=NEGATION_RATE):
        yield opinion.text, Row({"prompt": HOW.format(passage=opinion.text)}, 0, answers=(answered(opinion).phrase,), lead=" ")


def _instructions(rng: random.Random) -> Iterator[tuple[str, Row]]:
    for opinion in opinions(rng, for_task=True, contrast_rate=1.0, negation_rate=NEGATION_RATE):
        instruction = instructed(rng, opinion)
        turns = (Turn("user", f"{opinion.text} {instruction.text}"), Turn("assistant", instruction.answer))
        yield opinion.text, conversation_row(turns, answers=[instruction.answer])
