"""Questions about opinions, for a decoder: entailment of a statement, and the words that describe a noun.

    entailment   "although the plot was dull , the cast seemed hardly cold ." + "it was good"       does the first mean the second? yes
    how          "although the plot was dull , the cast seemed hardly cold ." + "it"                how was it? hardly cold
    instruct     one of these two, or "how was the plot ?"

Both need the clause that decides; entailment compares its polarity with the statement's, the other finds its words. The partition of `toy_text.py` holds:
what is not for a task may be used to pre-train a model for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from loretta_core.tasks.data.toy_text import VERDICTS, Clause, Opinion, opinions

QUESTION_WORDS = ("does", "this", "mean", "that", "how", "?", "yes", "no")
"""Words that opinions do not have."""
ANSWERS = ("yes", "no")
ENTAILMENT = "{premise} does this mean that {hypothesis} ?"
HOW = "{passage} how was it ?"
_HOW_ONE = "how was {noun} ?"


@dataclass(frozen=True)
class Inference:
    """A sentence and a statement that follows from it (label 0) or contradicts it (label 1)."""

    premise: str
    hypothesis: str
    label: int
    praise: bool
    """True if the hypothesis says something good."""


def inference(rng: random.Random, opinion: Opinion, polarity: int) -> Inference:
    """Draw a statement of the given polarity about the sentence as a whole."""
    return Inference(opinion.text, f"it was {rng.choice(VERDICTS[polarity])}", int(polarity != opinion.label), praise=polarity == 1)


def inferences(rng: random.Random, *, contrast_rate: float, negation_rate: float) -> Iterator[Inference]:
    """Yield endless rows of the task's share; a statement is true or false with equal chances."""
    for opinion in opinions(rng, for_task=True, contrast_rate=contrast_rate, negation_rate=negation_rate):
        yield inference(rng, opinion, rng.randrange(2))


@dataclass(frozen=True)
class Instruction:
    """An instruction about a sentence, and the answer to it."""

    text: str
    answer: str


def instructed(rng: random.Random, opinion: Opinion) -> Instruction:
    """Draw one of three instructions about a sentence: describe it, describe one noun of it, say whether a statement follows."""
    match rng.randrange(3):
        case 0:
            return Instruction(_HOW_ONE.format(noun="it"), answered(opinion).phrase)
        case 1:
            clause = rng.choice(opinion.clauses)
            return Instruction(_HOW_ONE.format(noun=f"the {clause.noun}"), clause.phrase)
    item = inference(rng, opinion, rng.randrange(2))
    return Instruction(ENTAILMENT.format(premise="", hypothesis=item.hypothesis).strip(), ANSWERS[item.label])


def answered(opinion: Opinion) -> Clause:
    """Return the clause that decides, which "how was it ?" asks for."""
    return opinion.clauses[0]
