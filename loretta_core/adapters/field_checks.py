"""Checks of the fields of our PEFT configs by type and range: junk is refused with the field's name where it is written, not by a kernel much later.

    r: int = field(default=8, metadata=checked(whole(1), "Width of the bottleneck."))
    LorettaRepConfig(r="8")      LorettaRepConfig: r = '8'; expected a whole number of at least 1

A check returns None for a value that fits, and otherwise what is expected. PEFT's configs are dataclasses, whose annotations nothing enforces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

from peft import PeftConfig
from transformers.activations import ACT2FN

from loretta_core.errors import MethodError
from loretta_core.methods.fields import SHAPE_EXPECTED, is_shape

Check = Callable[[object], str | None]


def checked(check: Check, help_text: str) -> dict[str, Any]:
    """Return the metadata of a dataclass field with a check."""
    return {"help": help_text, "check": check}


def check_fields(config: PeftConfig) -> None:
    """Raise MethodError for the first field whose value does not fit."""
    for item in fields(config):
        expected = item.metadata["check"](getattr(config, item.name)) if "check" in item.metadata else None
        if expected is not None:
            raise MethodError(f"{type(config).__name__}: {item.name} = {getattr(config, item.name)!r}; expected {expected}")


def whole(low: int) -> Check:
    """Accept integers from `low`; True is none."""
    return lambda value: None if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low else f"a whole number of at least {low}"


def number(text: str, fits: Callable[[float], bool] = lambda _: True) -> Check:
    """Accept finite numbers that fit; `text` says which."""
    return lambda value: None if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and fits(float(value)) else text


positive = number("a positive number", lambda value: value > 0)
probability = number("a number from 0 to below 1", lambda value: 0 <= value < 1)


def whole_or_none(low: int) -> Check:
    """Accept integers from `low`, and None."""
    return lambda value: None if value is None or whole(low)(value) is None else f"a whole number of at least {low}, or None"


def own_modes(value: object) -> str | None:
    """Accept the setting of a matrix's modes, without the lists of LoRETTA's paper."""
    return None if is_shape(value) and value != "paper" else "'auto' or a list of at least two modes, such as [8, 8, 12, 8, 8]"


def flag(value: object) -> str | None:
    """Accept True and False."""
    return None if isinstance(value, bool) else "True or False"


def one_of(*choices: str) -> Check:
    """Accept one of some words."""
    return lambda value: None if isinstance(value, str) and value in choices else f"one of {', '.join(choices)}"


def names(value: object) -> str | None:
    """Accept a collection of names, or None."""
    return None if value is None or (isinstance(value, list | tuple | set) and all(isinstance(name, str) for name in value)) else "a list of names, or None"


def numbers(value: object) -> str | None:
    """Accept a number from 0 on, a list of such numbers, or None."""
    listed = value if isinstance(value, list) and value else [value]
    return None if value is None or all(whole(0)(each) is None for each in listed) else "a number from 0 on, a list of such numbers, or None"


def per_layer(check: Check) -> Check:
    """Accept a dict from names or regular expressions to values that fit; a key that is no regular expression fits nothing."""

    def of_all(value: object) -> str | None:
        if not isinstance(value, dict) or not all(isinstance(key, str) and names_or_pattern(key) is None for key in value):
            return "a dict from names of layers, or regular expressions, to values"
        expected = next((text for each in value.values() if (text := check(each)) is not None), None)
        return None if expected is None else f"for every layer {expected}"

    return of_all


def names_or_pattern(value: object) -> str | None:
    """Accept a collection of names, a regular expression of whole paths (or "all-linear"), or None."""
    try:
        fits = re.compile(value) is not None if isinstance(value, str) else names(value) is None
    except re.error:
        fits = False
    return None if fits else "a list of names, a regular expression, or None"


def activation(value: object) -> str | None:
    """Accept the name of any activation of transformers."""
    return one_of(*ACT2FN)(value)


def modes(value: object) -> str | None:
    """Accept the setting of a matrix's modes."""
    return None if is_shape(value) else SHAPE_EXPECTED


def head_modes(value: object) -> str | None:
    """Accept the setting of the modes of a head's layer."""
    return None if value is None or value == "dense" or is_shape(value) else f"'dense', {SHAPE_EXPECTED}, or None"
