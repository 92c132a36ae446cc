"""The work of one worker, as far as memory and time depend on it: rows and tokens in a forward, and the shapes of model and method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loretta_core.plan.architectures.blocks import Block, Role
from loretta_core.sites import Side


@dataclass(frozen=True)
class Load:
    """The work of one worker at a time: rows of a piece of its part of a batch, tokens in each."""

    rows: int
    tokens: int
    evaluation_tokens: int

    @property
    def count(self) -> int:
        """Tokens of a training forward."""
        return self.rows * self.tokens


@dataclass(frozen=True)
class Shapes:
    """The shapes of a cell's model and method, which do not depend on where it runs."""

    block: Block
    trainable: int
    """Numbers that train."""
    sites: Mapping[Role, Side]
    """The layers of a block that the method changes."""
