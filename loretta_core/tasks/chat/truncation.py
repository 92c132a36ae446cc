"""Shortens a conversation that is too long: the oldest turns go first, then text of the user's last turn. The system prompt and the answer stay whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.data.rows import Turn


def shortened(
    turns: Sequence[Turn], *, limit: int, length: Callable[[Sequence[Turn]], int], tokenizer: PreTrainedTokenizerBase
) -> tuple[tuple[Turn, ...] | None, int]:
    """Return the turns as they fit into `limit` tokens, or None where they do not with any text of the user's last turn; and their length in tokens.

    Args:
        turns: ends with the user's last turn, or with the answer to it.
        length: the tokens of turns, rendered.
    """
    kept, tokens = tuple(turns), length(turns)
    while tokens > limit and (fewer := _without_oldest(kept)) is not None:
        kept, tokens = fewer, length(fewer)
    while tokens > limit:
        less = _with_less_text(kept, by=tokens - limit, tokenizer=tokenizer)
        if less is None:
            return None, tokens
        kept, tokens = less, length(less)
    return kept, tokens


def _without_oldest(turns: tuple[Turn, ...]) -> tuple[Turn, ...] | None:
    """Leave the oldest question out, and what was said until the next one; None where there is only one."""
    questions = [index for index, turn in enumerate(turns) if turn.role == "user"]
    if len(questions) < 2:
        return None
    return (*(turn for turn in turns[: questions[1]] if turn.role == "system"), *turns[questions[1] :])


def _with_less_text(turns: tuple[Turn, ...], *, by: int, tokenizer: PreTrainedTokenizerBase) -> tuple[Turn, ...] | None:
    """Cut the end of the last question's context, else the beginning of the question; None where nothing would be left."""
    last = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=None)
    if last is None:
        return None
    turn = turns[last]
    text = turn.context or turn.content
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    if len(offsets) <= by and not turn.context:
        return None
    kept_context = text[: offsets[-by - 1][1]].rstrip() if len(offsets) > by else ""
    shorter = replace(turn, context=kept_context) if turn.context else replace(turn, content=text[offsets[by][0] :])
    return (*turns[:last], shorter, *turns[last + 1 :])
