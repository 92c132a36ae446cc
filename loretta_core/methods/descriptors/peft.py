"""The method `peft`, which may name any other method of the installed PEFT."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, JsonValue, model_validator

from loretta_core.methods.base import Method
from loretta_core.methods.peft_types import refuse_peft_type


class Peft(Method):
    """Any other method of the installed PEFT, by its PEFT name; further keys are the fields of its PEFT config, e.g. r = 256."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]  # pyrefly: ignore[bad-override]

    type: Literal["peft"]
    peft_type: str
    """Name in PEFT's `PeftType`, e.g. VERA, LOHA, OFT, FOURIERFT."""

    explanation = "the method that the row names"
    peft_config = "loretta_core.adapters.peft_methods:any_peft_config"
    identity_at_init = False
    open_ended = True

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse_peft_type(self.peft_type)
        return self

    @property
    def short_name(self) -> str:
        return self.peft_type

    @property
    def fields(self) -> dict[str, JsonValue]:
        """The fields of the PEFT config, as given."""
        return dict(self.__pydantic_extra__)

    def peft_arguments(self) -> dict[str, Any]:
        return {"peft_type": self.peft_type, "fields": self.fields}
