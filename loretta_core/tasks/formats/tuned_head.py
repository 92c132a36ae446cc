"""The classification head that a checkpoint brings along, if it was tuned as a classifier: are its labels the task's, and in which order?

    config.json   id2label = {0: positive, 1: negative}      task   negative, positive      order   (1, 0): logit of label j is output order[j]

Equal names keep the head, whatever their order. A head of other labels is of no use and is made anew. Where one side has numbers for names, or `LABEL_0`, the
order is taken to be the same. Which of these happened is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBERED = re.compile(r"(label_?)?[+-]?\d+")


@dataclass(frozen=True)
class TunedHead:
    """The use that is made of a checkpoint's own head."""

    order: tuple[int, ...] = ()
    """Output of each label of the task; empty where it is the label's own number."""
    fresh: bool = False
    """True if the checkpoint's head is thrown away."""
    note: str = ""
    """What the reader of a score should know of it; empty if the checkpoint brings no head."""


def tuned_head(config: Mapping[str, Any], names: Sequence[str], *, of_tokens: bool = False) -> TunedHead:
    """Return what is done with the head of a checkpoint, from its config.json; `names` are the task's labels in order, none for a number.

    `of_tokens`: the task needs a head on every token.
    """
    if not any(str(name).endswith("ForTokenClassification" if of_tokens else "ForSequenceClassification") for name in config.get("architectures") or ()):
        return TunedHead()
    own = [str(name) for _, name in sorted((int(index), name) for index, name in (config.get("id2label") or {}).items())]
    said = f"the checkpoint's own classification head has the labels {_listed(own)}"
    if not names:
        return TunedHead() if len(own) == 1 else TunedHead(fresh=True, note=f"{said}, and the task is a number: the head is made anew")
    outputs = {_plain(name): index for index, name in enumerate(own)}
    if outputs.keys() == {_plain(name) for name in names} and len(outputs) == len(own) == len(names):
        order = tuple(outputs[_plain(name)] for name in names)
        return TunedHead(() if order == tuple(range(len(order))) else order, note=f"{said}, which are the task's: it is kept, and matched by name")
    if len(own) == len(names) and (_numbered(own) or _numbered(names)):
        return TunedHead(note=f"{said}: it is kept, and they are taken to be {_listed(names)} in this order")
    return TunedHead(fresh=True, note=f"{said}, not the task's {_listed(names)}: the head is made anew")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _numbered(names: Sequence[str]) -> bool:
    return all(_NUMBERED.fullmatch(name.strip().casefold()) for name in names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 8 else [*names[:7], "…"])
