"""Scores of free-text answers against accepted ones: to the letter, and as the official scripts of SQuAD v1.1 and DROP compute them.

SQuAD: lower case, no punctuation, no articles; F1 over the bag of words.  DROP: also numbers as numbers ("1,000" is 1000.0), hyphens split words, an answer
whose numbers all differ from the accepted ones scores 0, F1 rounded to two digits. Here a DROP answer is one span. A row scores its best accepted answer.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if an answer is the prediction, to the letter but for blanks and line breaks around it, else 0."""
    return _best(lambda answer: float(prediction.strip() == answer.strip()), answers)


def squad_normal(text: str) -> str:
    """Normalise a text as SQuAD's `normalize_answer` does."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def squad_em(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if the normalised texts are equal, else 0."""
    return _best(lambda answer: float(squad_normal(prediction) == squad_normal(answer)), answers)


def squad_f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the harmonic mean of precision and recall over words, with repetitions."""
    return _best(lambda answer: _counter_f1(squad_normal(prediction).split(), squad_normal(answer).split()), answers)


def drop_normal(text: str) -> str:
    """Normalise a text as DROP's `_normalize_answer` does."""
    tokens = (" ".join(_ARTICLES.sub(" ", _drop_token(token)).split()) for token in re.split(" |-", text))
    return " ".join(token for token in tokens if token)


def drop_em(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if the normalised texts are equal, else 0."""
    return _best(lambda answer: float(drop_normal(prediction) == drop_normal(answer)), answers)


def drop_f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the F1 score over the set of words; 0 when the accepted answer has numbers and none of them is in the prediction."""
    return _best(lambda answer: round(_set_f1(set(drop_normal(prediction).split()), set(drop_normal(answer).split())), 2), answers)


def _best(score: Callable[[str], float], answers: Sequence[str]) -> float:
    return max(map(score, answers))


def _counter_f1(prediction: list[str], answer: list[str]) -> float:
    common = sum((Counter(prediction) & Counter(answer)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(prediction), common / len(answer)
    return 2 * precision * recall / (precision + recall)


def _set_f1(prediction: set[str], answer: set[str]) -> float:
    numbers = {word for word in answer if _is_number(word)}
    if numbers and not numbers & prediction:
        return 0.0
    common = len(prediction & answer)
    precision = common / len(prediction) if prediction else 1.0
    recall = common / len(answer) if answer else 1.0
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _drop_token(token: str) -> str:
    token = token.lower()
    if not _is_number(token):
        token = token.translate(_PUNCTUATION)
    return str(float(token)) if _is_number(token) else token


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
