"""Tokens of many texts from a few calls of the tokenizer, and of prompts that continue in several ways, each prompt being tokenised once.

    prompt "… a long text. It was"       continuations " terrible", " great"
    tokenised: the prompts, and the short texts " was", " was terrible", " was great"; what many rows end with is tokenised once

A tokenizer splits a text into words before anything else, and a word begins at a blank before a letter. So a prompt from its last such blank on, its tail, is
tokenised by itself as it is at the end of the prompt, and with a continuation as it is with it. Whether that holds is checked with the tail alone: where its
tokens are not the last ones of the prompt, as with tokenizers that mark the beginning of a text, prompt and continuation are tokenised as one text.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

AT_ONCE = 8192
"""Texts of a call: the tokenizer's own objects take many times the memory of the tokens."""


class Continued(NamedTuple):
    """A prompt and what continues it, tokenised as one text."""

    tokens: list[int]
    scored: int
    """Number of tokens at the end that reach beyond the prompt."""


@contextmanager
def without_collections() -> Iterator[None]:
    """Pause Python's search for cycles: tokens have none, and each search through millions of new lists takes longer than tokenising them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def encode_inputs(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[dict[str, list[int]]]:
    """Return what the model reads of each text, whole, with the tokens that begin and end a text: as `tokenizer(text)`."""
    encoded = _encode(tokenizer, texts, special=True)
    if "token_type_ids" not in tokenizer.model_input_names:
        return [{"input_ids": one.ids, "attention_mask": one.attention_mask} for one in encoded]
    return [{"input_ids": one.ids, "token_type_ids": one.type_ids, "attention_mask": one.attention_mask} for one in encoded]


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each text, without those that begin or end a text."""
    return [one.ids for one in _encode(tokenizer, texts, special=False)]


def encode_continuations(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], continuations: Sequence[Sequence[str]]
) -> list[tuple[list[int], list[Continued]]]:
    """Return the tokens of each prompt, and of the prompt with each of its continuations, without tokens that begin or end a text."""
    heads = encode_texts(tokenizer, prompts)
    tails = [prompt[_tail_start(prompt) :] for prompt in prompts]
    asked = list(zip(tails, map(tuple, continuations), strict=True))
    endings = _encode_endings(tokenizer, asked)
    fits = [head[len(head) - len(endings[tail].own) :] == endings[tail].own for head, (tail, _) in zip(heads, asked, strict=True)]
    whole = _encode_endings(tokenizer, [(prompt, texts) for prompt, (_, texts), fit in zip(prompts, asked, fits, strict=True) if not fit])
    found = []
    for prompt, head, (tail, texts), fit in zip(prompts, heads, asked, fits, strict=True):
        before, ending = (head[: len(head) - len(endings[tail].own)], endings[tail]) if fit else ([], whole[prompt])
        found.append((head, [Continued(before + ending.of[text].tokens, ending.of[text].scored) for text in texts]))
    return found


@dataclass(frozen=True)
class _Ending:
    """The end of a prompt, by itself and with each of its continuations."""

    own: list[int]
    of: dict[str, Continued]


def _encode_endings(tokenizer: PreTrainedTokenizerBase, asked: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, _Ending]:
    """Return the ending of each distinct text."""
    texts: dict[str, dict[str, None]] = {}
    for tail, own in dict.fromkeys(asked):
        texts.setdefault(tail, {}).update(dict.fromkeys(own))
    alone = dict(zip(texts, encode_texts(tokenizer, list(texts)), strict=True))
    joint = [(tail, text) for tail, own in texts.items() for text in own]
    encoded = _backend(tokenizer).encode_batch([tail + text for tail, text in joint], add_special_tokens=False)
    found = {tail: _Ending(own, {}) for tail, own in alone.items()}
    for (tail, text), one in zip(joint, encoded, strict=True):
        found[tail].of[text] = Continued(one.ids, sum(end > len(tail) for _, end in one.offsets))
    return found


def _tail_start(prompt: str) -> int:
    """Return the index of the last blank that stands before a letter or mark, or 0."""
    return max(0, prompt.rstrip().rfind(" "))


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, special: bool) -> Iterator[Encoding]:
    """Yield the encodings of texts, without offsets, which take a third of the time."""
    backend = _backend(tokenizer)
    for start in range(0, len(texts), AT_ONCE):
        yield from backend.encode_batch_fast(texts[start : start + AT_ONCE], add_special_tokens=special)


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return the tokenizer below, without the truncation and padding of an earlier call."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend
