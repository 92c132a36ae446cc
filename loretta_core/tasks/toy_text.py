"""A small grammar of opinions: clauses with negation, pairs of clauses with contrast.

    clause     "the plot was quite dull"                 polarity of the adjective
               "the plot was not dull", "… hardly …"     negation flips it
    contrast   "A but B", "although A , B", "B , although A"     B decides; A always says the opposite

Sentences are partitioned by a hash of their text: the pre-training corpus of toy-bert never contains a sentence of the task, whatever the seeds.
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
"""One sentence in this many belongs to the task; the others to the pre-training corpus."""


@dataclass(frozen=True)
class Opinion:
    """A sentence, its polarity (0 negative, 1 positive), and whether two clauses disagree in it."""

    text: str
    label: int
    contrast: bool


def vocabulary() -> list[str]:
    """Every word the grammar can write, sorted."""
    words = {*NOUNS, *POSITIVE, *NEGATIVE, *VERDICTS[0], *VERDICTS[1], *_VERBS, *_NEGATIONS, *_SPECIAL_WORDS}
    words.update(intensifier.strip() for intensifier in _INTENSIFIERS if intensifier)
    return sorted(words)


def opinions(rng: random.Random, *, for_task: bool, contrast_rate: float, negation_rate: float) -> Iterator[Opinion]:
    """Endless sentences of the task's share of the language, or of the corpus's share. `negation_rate` counts clauses."""
    while True:
        opinion = _contrast(rng, negation_rate) if rng.random() < contrast_rate else _simple(rng, negation_rate)
        if (zlib.crc32(opinion.text.encode()) % TASK_SHARE == 0) == for_task:
            yield opinion


def _simple(rng: random.Random, negation_rate: float) -> Opinion:
    label = rng.randrange(2)
    return Opinion(f"{_clause(rng, rng.choice(NOUNS), label, negation_rate)} .", label, contrast=False)


def _contrast(rng: random.Random, negation_rate: float) -> Opinion:
    label = rng.randrange(2)
    first, second = rng.sample(NOUNS, 2)
    strong, weak = _clause(rng, first, label, negation_rate), _clause(rng, second, 1 - label, negation_rate)
    return Opinion(f"{rng.choice(_CONTRASTS).format(strong=strong, weak=weak)} .", label, contrast=True)


def _clause(rng: random.Random, noun: str, label: int, negation_rate: float) -> str:
    negated = rng.random() < negation_rate
    adjective = rng.choice(POSITIVE if label != negated else NEGATIVE)
    negation = f"{rng.choice(_NEGATIONS)} " if negated else ""
    return f"the {noun} {rng.choice(_VERBS)} {negation}{rng.choice(_INTENSIFIERS)}{adjective}"
