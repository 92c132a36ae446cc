"""The methods of PEFT that `{type = "peft", peft_type = …}` may name. No torch: a test holds the lists to those of the installed PEFT.

A method has one name in a sweep, so that equal runs have equal ids: PEFT's own name of a method that has a type of its own is refused and pointed there.
Methods that need more than a config and a labelled data set (other adapters, task ids, token ids) are refused with the reason.
"""

from __future__ import annotations

import difflib
from typing import get_args

from loretta_core.methods.base import Method

NOT_CELLS = {
    "ADALORA": "it prunes ranks in a call of its own after every optimizer step",
    "CARTRIDGE": "it is distilled from a long context, which a labelled data set does not have",
    "CPT": "it starts from the token ids of worked examples",
    "MULTITASK_PROMPT_TUNING": "every row needs a task id",
    "POLY": "every row needs a task id",
    "SHADOW": "it runs a second model beside the first and returns that one's outputs",
    "XLORA": "it mixes adapters that are already trained",
}
"""PEFT name → why it cannot be a cell."""

# fmt: off
PEFT_TYPES = (
    "ADAMSS", "ADAPTION_PROMPT", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA", "HRA", "LILY", "LN_TUNING", "LOHA",
    "LOKR", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA", "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA",
    "VERA", "WAVEFT",
)
# fmt: on
"""Every other method of PEFT 0.21."""


def own_types() -> dict[str, str]:
    """Return PEFT name → type in a sweep, of the methods that have a type of their own."""
    named = {cls.peft_name: cls for cls in Method.__subclasses__()}
    return {name: get_args(cls.model_fields["type"].annotation)[0] for name, cls in named.items() if name is not None}


def refuse_peft_type(name: str) -> None:
    """Raise ValueError unless `name` is one of PEFT_TYPES."""
    own = own_types()
    if name in own:
        raise ValueError(f"peft_type = {name!r} has a type of its own here: type = {own[name]!r}")
    if name in NOT_CELLS:
        raise ValueError(f"peft_type = {name!r} cannot be a cell: {NOT_CELLS[name]}")
    if name not in PEFT_TYPES:
        close = difflib.get_close_matches(name.upper(), PEFT_TYPES, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"peft_type = {name!r} is unknown. {hint}Known: {', '.join(PEFT_TYPES)}")
