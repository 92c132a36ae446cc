"""The tokens that end a written answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError


def end_token_ids(tokenizer: PreTrainedTokenizerBase, names: Sequence[str] | None) -> list[int]:
    """Return the ids of end tokens; None stands for the tokenizer's own. Raises DataError for a name that is no token, and without any."""
    if names is None:
        if tokenizer.eos_token_id is None:
            raise DataError("the tokenizer has no end-of-text token, so that no end of an answer could be learned; name one in task.end_tokens")
        return [tokenizer.eos_token_id]
    known = tokenizer.get_vocab()
    strangers = [name for name in names if name not in known]
    if strangers:
        special = ", ".join(tokenizer.all_special_tokens)
        raise DataError(
            f"task.end_tokens: {strangers[0]!r} is no token of the model; its special tokens are {special}. A text of several tokens goes into task.stop"
        )
    return [known[name] for name in names]


def up_to_end(tokens: Sequence[int], ends: Collection[int]) -> list[int]:
    """Return the tokens before the first end token."""
    place = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return list(tokens[:place])
