"""Cache of tokenised rows: a warm worker runs many cells on the same task, which share the examples.

The key is a digest of everything that tokens depend on: the tokenizer's own JSON, the task's settings, and the rows. Kept in memory only. Examples are frozen,
so sharing them is safe.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from loretta_core.config.task import TaskConfig
from loretta_core.tasks.base import Example, Objective
from loretta_core.tasks.data.reading.disk_list import LARGE_ROWS, DiskList
from loretta_core.tasks.data.rows import Row, content_of

ROWS_KEPT = LARGE_ROWS
"""Size of the cache, about 0.3 GB at 128 tokens a row; the splits used longest ago are dropped first. The tokens of a larger split lie on disk."""
_AT_ONCE = 10_000
"""Rows of a large split that are encoded before they are written."""

_cache: OrderedDict[str, Sequence[Example]] = OrderedDict()


def encode_once(objective: Objective, rows: Sequence[Row], *, training: bool, task: TaskConfig, tokenizer: PreTrainedTokenizerBase) -> Sequence[Example]:
    """Return `objective.encode(rows, training=training)`, from the cache if the same rows were encoded the same way before."""
    if len(rows) > ROWS_KEPT:
        pieces = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
        return DiskList((example for piece in pieces for example in objective.encode(list(piece), training=training)), measure=Example.__len__)
    key = _key(rows, training=training, task=task, tokenizer=tokenizer)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    examples = objective.encode(rows, training=training)
    _add(key, examples)
    return examples


def clear_cache() -> None:
    """Drop all cached examples."""
    _cache.clear()


def _add(key: str, examples: Sequence[Example]) -> None:
    _cache[key] = examples
    while sum(map(len, _cache.values())) > ROWS_KEPT:
        _cache.popitem(last=False)


def _key(rows: Sequence[Row], *, training: bool, task: TaskConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    digest = hashlib.sha256()
    for part in (
        tokenizer.backend_tokenizer.to_str(),
        json.dumps([tokenizer.special_tokens_map, tokenizer.padding_side, tokenizer.chat_template, training]),
        task.model_dump_json(),
    ):
        digest.update(part.encode())
        digest.update(b"\0")
    for row in rows:
        digest.update(json.dumps(content_of(row), sort_keys=True).encode())
    return digest.hexdigest()
