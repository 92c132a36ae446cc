"""Templates of prompts: text with placeholders for columns.

    {name}         the column as it is, without spaces at its ends
    {name:open}    without its last mark (. ! ?), so that the prompt can end the sentence itself
    {name:lower}   its first letter in lower case, as it stands in the middle of a sentence
    {#name}…{/name}     what stands between is left out where the column is empty (Mustache's sections)

The two forms are those of LM-BFF's code (arXiv 2012.15723), `sent-_0` and `sentl_1`, but for this: it drops the last character whether it is a mark or not,
which cuts a word where a sentence ends without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from loretta_core.config.task import COLUMN_FORMS

FORMS: dict[str, Callable[[str], str]] = {
    "": str.strip,
    "open": lambda text: re.sub(r"\s*[.!?]?\s*$", "", text.strip(), count=1),
    "lower": lambda text: text.strip()[:1].lower() + text.strip()[1:],
}


def fill(template: str, text: Mapping[str, str]) -> str:
    """Return the template with its placeholders filled. Braces that name no column stay, and text of a column is never filled again."""
    names = tuple(text)
    whole = _sections(names).sub(lambda part: part[2] if text[part[1]].strip() else "", template)
    return _placeholders(names).sub(lambda place: FORMS[place[2] or ""](text[place[1]]), whole)


@cache
def _sections(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\{{#({'|'.join(map(re.escape, names))})\}}(.*?)\{{/\1\}}", re.DOTALL)


@cache
def _placeholders(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\{{({'|'.join(map(re.escape, names))})(?::({'|'.join(COLUMN_FORMS)}))?\}}")
