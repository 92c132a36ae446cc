"""Questions about opinions, for a decoder: what follows from a sentence, and how something was.

    entailment   "although the plot was dull , the cast seemed charming ." + "the cast was good"     does the first mean the second? yes
    how          "the plot was dull . the cast seemed not cold . the pace felt slow ." + "the cast"  how was it? not cold

Both need the clause about the right noun, entailment also its polarity, the other its words. The partition of `toy_text.py` holds: what is
not for a task may be used to pre-train a model for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from loretta_core.tasks.toy_text import NOUNS, VERDICTS, Clause, belongs_to_task, clause, opinions

QUESTION_WORDS = ("does", "this", "mean", "that", "how", "?", "yes", "no")
"""Words that opinions do not have."""
ANSWERS = ("yes", "no")
ENTAILMENT = "{premise} does this mean that {hypothesis} ?"
HOW = "{passage} how was the {subject} ?"
PASSAGE_CLAUSES = (3, 4)
"""How many sentences a passage has."""


@dataclass(frozen=True)
class Inference:
    """A sentence and a statement that follows from it (label 0) or contradicts it (label 1)."""

    premise: str
    hypothesis: str
    label: int
    praise: bool
    """True if the hypothesis says something good."""


@dataclass(frozen=True)
class Passage:
    """Sentences about different things."""

    text: str
    clauses: tuple[Clause, ...]


def inference(rng: random.Random, premise: str, subject: Clause) -> Inference:
    """A statement about `subject`, which is a clause of the premise; true or false with equal chances."""
    polarity = rng.randrange(2)
    hypothesis = f"the {subject.noun} was {rng.choice(VERDICTS[polarity])}"
    return Inference(premise, hypothesis, int(polarity != subject.label), praise=polarity == 1)


def inferences(rng: random.Random, *, negation_rate: float) -> Iterator[Inference]:
    """Endless rows of the task's share; every premise has two clauses that disagree, and the statement is about either."""
    for opinion in opinions(rng, for_task=True, contrast_rate=1.0, negation_rate=negation_rate):
        yield inference(rng, opinion.text, rng.choice(opinion.clauses))


def passages(rng: random.Random, *, for_task: bool, negation_rate: float) -> Iterator[Passage]:
    """Endless passages of the task's share, or of the corpus's share."""
    while True:
        nouns = rng.sample(NOUNS, rng.choice(PASSAGE_CLAUSES))
        clauses = tuple(clause(rng, noun, rng.randrange(2), negation_rate) for noun in nouns)
        text = " ".join(f"{one.text} ." for one in clauses)
        if belongs_to_task(text) == for_task:
            yield Passage(text, clauses)
