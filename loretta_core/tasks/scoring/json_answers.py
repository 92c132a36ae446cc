"""Written answers as JSON (RFC 8259): are they any, and do they say the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def json_valid(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if the whole prediction is JSON, whatever the answers say."""
    return float(canonical_json(prediction) is not None)


def json_equal(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if the prediction and an answer are the same JSON: keys in any order, numbers by their value, lists in their order."""
    found = canonical_json(prediction)
    return float(found is not None and any(found == canonical_json(answer) for answer in answers))


def canonical_json(text: str) -> str | None:
    """Return a JSON text in one spelling; None if it is no JSON."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_plain)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, sort_keys=True)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is Python's, not JSON's")


def _plain(text: str) -> int | float:
    """Return a number as an integer if it is one: 1.0 and 1 are the same in JSON."""
    number = float(text)
    return int(number) if number.is_integer() else number
