"""The family of method settings that a cell may hold: one class per fine-tuning method, told apart by `type`.

The classes are the descriptors of `loretta_core/methods`; those that come with the project are named here once more, for importing.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from loretta_core.methods import METHODS
from loretta_core.methods.base import Method
from loretta_core.methods.descriptors.adapters import Adapters
from loretta_core.methods.descriptors.bitfit import Bitfit
from loretta_core.methods.descriptors.ft import Ft
from loretta_core.methods.descriptors.ia3 import Ia3
from loretta_core.methods.descriptors.lora import Lora
from loretta_core.methods.descriptors.loretta_adp import LorettaAdp
from loretta_core.methods.descriptors.loretta_rep import LorettaRep
from loretta_core.methods.descriptors.peft import Peft
from loretta_core.methods.descriptors.prefix import Prefix
from loretta_core.methods.descriptors.prompt import Prompt
from loretta_core.methods.descriptors.ptune import Ptune
from loretta_core.methods.descriptors.tensor_family.lorta import Lorta
from loretta_core.methods.descriptors.tensor_family.metatt import MetaTT
from loretta_core.methods.descriptors.tensor_family.tensorguide import TensorGuide
from loretta_core.methods.descriptors.tensor_family.tt_lora import TTLora

__all__ = [
    "Adapters",
    "Bitfit",
    "Ft",
    "Ia3",
    "Lora",
    "LorettaAdp",
    "LorettaRep",
    "Lorta",
    "MetaTT",
    "MethodConfig",
    "Peft",
    "Prefix",
    "Prompt",
    "Ptune",
    "TTLora",
    "TensorGuide",
]

if TYPE_CHECKING:
    MethodConfig = Method  # a type checker cannot follow a union that is made from a table
else:
    MethodConfig = Annotated[reduce(or_, METHODS.values()), Field(discriminator="type")]
