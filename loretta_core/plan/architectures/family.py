"""A family: the layers of one architecture as rows, before, in and after its blocks. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loretta_core.plan.architectures.layers import Layer
from loretta_core.plan.architectures.rows import Config, layers_of, numbers


def _no_more(found: dict[str, Any]) -> dict[str, Any]:
    return {}


def _the_same(found: dict[str, Any], index: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Family:
    """The layers of one architecture.

    Attributes:
        stem, ends: rows before and after the blocks.
        stacks: path of a list of blocks → the rows of one block.
        language_model, classifier: rows of either head; the classifier's width is `labels`.
        defaults: transformers' own, for keys that a config may leave out and the count depends on.
        derived: further numbers from those at hand.
        of_block: further numbers of the block with an index.
        depths: path of a list of blocks → the key that says how many there are, where it is not the usual one.
    """

    stem: str
    stacks: Mapping[str, str]
    ends: str
    language_model: str
    classifier: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    derived: Callable[[dict[str, Any]], dict[str, Any]] = _no_more
    of_block: Callable[[dict[str, Any], int], dict[str, Any]] = _the_same
    depths: Mapping[str, str] = field(default_factory=dict)

    def numbers(self, config: Config) -> dict[str, Any]:
        """Return the numbers that the rows use."""
        found = numbers(config, defaults={"tie_word_embeddings": True, **self.defaults})
        return found | self.derived(found)

    def layers(self, config: Config, labels: int | None) -> Iterator[Layer]:
        """Yield the layers, with the head for `labels` classes or for None the language-model head."""
        found = self.numbers(config) | {"labels": labels}
        yield from layers_of(self.stem, found)
        for path, rows in self.stacks.items():
            for index in range(found[self.depths.get(path, "depth")]):
                yield from layers_of(rows, found | self.of_block(found, index), prefix=f"{path}.{index}.")
        yield from layers_of(self.ends, found)
        yield from layers_of(self.language_model if labels is None else self.classifier, found)
