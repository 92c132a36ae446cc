"""Takes the part of a written answer that is compared, from the model's text and from the accepted answers alike. The names are in config/metrics.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

_NUMBER = re.compile(r"(?<![\w.])[-+−]?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))")
_ALONE = re.compile(r"(?<![^\W\d_])[^\W\d_](?![^\W\d_]|['’])")


def extract(name: str, text: str, *, pattern: str | None = None) -> str | None:
    """Return the part of a text that an extractor takes, or None if it finds none."""
    found = EXTRACTORS[name](text, pattern or "")
    return None if found is None else found.strip()


def _last_number(text: str, pattern: str) -> str | None:
    found = [match[0] for match in _NUMBER.finditer(text) if any(map(str.isdigit, match[0]))]
    return plain_number(found[-1]) if found else None


def plain_number(text: str) -> str:
    """Return a number in its shortest form: `$1,200.50` → `1200.5`."""
    number = Decimal(text.replace("−", "-").replace("$", "").replace(",", ""))
    exact = format(number, "f")  # not normalize(), which rounds to 28 digits
    shortest = exact.rstrip("0").rstrip(".") if "." in exact else exact
    return "0" if number == 0 else shortest


def _regex(text: str, pattern: str) -> str | None:
    found = list(re.finditer(pattern, text))
    return (found[-1][1] if found[-1].re.groups else found[-1][0]) if found else None


def _after(text: str, marker: str) -> str | None:
    _, there, rest = text.rpartition(marker)
    return (rest.strip().split("\n")[0] or None) if there else None


def _json(text: str, pattern: str) -> str | None:
    decoder = json.JSONDecoder()
    for place in (match.start() for match in re.finditer(r"[\[{]", text)):
        try:
            value, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):  # no JSON, or a number or a depth that Python does not read
            continue
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return None


def _first_letter(text: str, pattern: str) -> str | None:
    found = _ALONE.search(text)
    return found and found[0].upper()


EXTRACTORS: Mapping[str, Callable[[str, str], str | None]] = {
    "last_number": _last_number,
    "regex": _regex,
    "after": _after,
    "json": _json,
    "first_letter": _first_letter,
}
"""name → function of a text and a pattern, which some of them ignore."""
