"""A small grammar of opinions: clauses with negation, pairs of clauses with contrast.

    clause     "the plot was quite dull"                 polarity of the adjective
               "the plot was not dull", "… hardly …"     negation flips it
    contrast   "A but B", "although A , B", "B , although A"     B decides; A always says the opposite

Sentences are partitioned by a hash of their text: the pre-training corpora of toy-bert and toy-llama never contain a sentence of a task, whatever the seeds.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

NOUNS = (
    *("film", "plot", "acting", "story", "music", "script", "cast", "ending", "dialogue", "scenery", "pace", "sound", "camera", "hero", "villain", "opening"),
    *("humour", "mood", "title", "costume", "chase", "finale", "editing", "sequel"),
)
POSITIVE = (
    *("bright", "charming", "clever", "delightful", "elegant", "fresh", "funny", "gripping", "lively", "lovely", "moving", "pleasant", "polished", "rich"),
    *("sharp", "smart", "superb", "tender", "thrilling", "warm"),
)
NEGATIVE = (
    *("awkward", "bland", "boring", "clumsy", "cold", "confusing", "dreary", "dull", "empty", "flat", "hollow", "lame", "lazy", "messy", "noisy", "shallow"),
    *("silly", "slow", "stale", "weak"),
)
VERDICTS = (("terrible", "bad", "awful"), ("great", "good", "wonderful"))
"""Words of a final verdict, [negative, positive]; the first of each is the verbalizer."""

_VERBS = ("was", "seemed", "felt", "looked")
_NEGATIONS = ("not", "never", "hardly", "scarcely")
_INTENSIFIERS = ("", "", "", "quite ", "rather ", "really ", "truly ")
_CONTRASTS = ("{weak} but {strong}", "{weak} yet {strong}", "although {weak} , {strong}", "{strong} , although {weak}", "{strong} even though {weak}")
_SPECIAL_WORDS = ("the", "it", "but", "yet", "although", "even", "though", ",", ".")

TASK_SHARE = 4
"""One sentence in TASK_SHARE belongs to the task; the others belong to the pre-training corpus."""


@dataclass(frozen=True)
class Clause:
    """A statement about one noun: "the plot was not dull"."""

    noun: str
    label: int
    """0 negative, 1 positive, with the negation taken into account."""
    phrase: str
    """The words from the negation to the adjective: "not dull"."""
    text: str


@dataclass(frozen=True)
class Opinion:
    """A sentence, its polarity (0 negative, 1 positive), and whether two clauses disagree in it."""

    text: str
    label: int
    contrast: bool
    clauses: tuple[Clause, ...]
    """The clauses, the one that decides first."""


def vocabulary() -> list[str]:
    """Return every word the grammar can write, sorted."""
    words = {*NOUNS, *POSITIVE, *NEGATIVE, *VERDICTS[0], *VERDICTS[1], *_VERBS, *_NEGATIONS, *_SPECIAL_WORDS}
    words.update(intensifier.strip() for intensifier in _INTENSIFIERS if intensifier)
    return sorted(words)


def opinions(rng: random.Random, *, for_task: bool, contrast_rate: float, negation_rate: float) -> Iterator[Opinion]:
    """Yield endless sentences of the task's share of the language, or of the corpus's share. `negation_rate` is a share of clauses."""
    while True:
        opinion = _contrast(rng, negation_rate) if rng.random() < contrast_rate else _simple(rng, negation_rate)
        if belongs_to_task(opinion.text) == for_task:
            yield opinion


def belongs_to_task(text: str) -> bool:
    """Return True if a text is in the task's share of the partition."""
    return zlib.crc32(text.encode()) % TASK_SHARE == 0


def clause(rng: random.Random, noun: str, label: int, negation_rate: float) -> Clause:
    """Draw a clause about `noun` of polarity `label`."""
    negated = rng.random() < negation_rate
    adjective = rng.choice(POSITIVE if label != negated else NEGATIVE)
    negation = f"{rng.choice(_NEGATIONS)} " if negated else ""
    verb = rng.choice(_VERBS)
    phrase = f"{negation}{rng.choice(_INTENSIFIERS)}{adjective}"
    return Clause(noun, label, phrase, f"the {noun} {verb} {phrase}")


def _simple(rng: random.Random, negation_rate: float) -> Opinion:
    label = rng.randrange(2)
    only = clause(rng, rng.choice(NOUNS), label, negation_rate)
    return Opinion(f"{only.text} .", label, contrast=False, clauses=(only,))


def _contrast(rng: random.Random, negation_rate: float) -> Opinion:
    label = rng.randrange(2)
    first, second = rng.sample(NOUNS, 2)
    strong, weak = clause(rng, first, label, negation_rate), clause(rng, second, 1 - label, negation_rate)
    text = f"{rng.choice(_CONTRASTS).format(strong=strong.text, weak=weak.text)} ."
    return Opinion(text, label, contrast=True, clauses=(strong, weak))
