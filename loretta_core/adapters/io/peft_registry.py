"""The registration of our own method types with PEFT.

PEFT finds a method by a member of its closed enum `PeftType`; `aenum` adds members to it. Every method file of ours calls `register` at its end, so that
whoever imports the config class, unpickling included, has the type.
"""

from __future__ import annotations

from aenum import extend_enum
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import register_peft_method


def peft_type(name: str) -> PeftType:
    """Return the member of PEFT's `PeftType` for one of our methods; the first call adds it."""
    if name not in PeftType.__members__:
        extend_enum(PeftType, name, name)
    return PeftType[name]


def register(*, name: str, config_cls: type[PeftConfig], model_cls: type[BaseTuner]) -> None:
    """Let PEFT's mappings lead from the type to its classes; `name` is lower case and prefixes the method's state."""
    peft_type(name.upper())
    register_peft_method(name=name, config_cls=config_cls, model_cls=model_cls, prefix=f"{name}_")
