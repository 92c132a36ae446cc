"""Turns as tokens, and which of these the assistant says: the spans that are learned, each with the token that ends the turn.

    whole     the conversation, rendered by the chat template
    prompt    the turns before one of the assistant's, with the beginning of its turn (`add_generation_prompt`)
    span      from the end of the prompt in the whole to the end-of-turn token

Templates with {% generation %} marks say themselves where a span is. For all others a prompt must be a prefix of the whole: a template that writes earlier
turns differently once others follow is refused, because what is learned would not be what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from loretta_core.errors import DataError
from loretta_core.tasks.data.rows import Turn
from loretta_core.tasks.formats.end_tokens import end_token_ids

Span = tuple[int, int]
"""Begin and end, the end excluded."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens, up to the end of the assistant's last turn."""

    tokens: list[int]
    spans: tuple[Span, ...]
    """Spans of the assistant's turns."""


class ChatFormat:
    """Renders turns with the tokenizer's chat template.

    Args:
        end_tokens: tokens at which the assistant's turns end, the first of them the one that the template writes; None: found in the template.

    Raises DataError for a template that is no Jinja, or that ends the assistant's turns with no token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, end_tokens: Sequence[str] | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = tokenizer.get_chat_template()
        self._marked = re.search(r"\{%-?\s*generation\s*-?%\}", self._template) is not None
        self.end = self._end_of_turn(end_tokens)
        self._end_text = str(tokenizer.decode([self.end]))

    def render(self, conversations: Sequence[Sequence[Turn]], *, places: Sequence[str]) -> list[Rendered]:
        """Return the tokens of conversations that end with a turn of the assistant. Raises DataError with the place of what cannot be rendered."""
        found = [self._text_with_spans(turns, place) for turns, place in zip(conversations, places, strict=True)]
        encoded = self._tokenizer([text for text, _ in found], add_special_tokens=False, return_offsets_mapping=True) if found else {}
        rows = zip(found, encoded.get("input_ids", ()), encoded.get("offset_mapping", ()), places, strict=True)
        return [self._rendered(text, spans, tokens, offsets, place) for (text, spans), tokens, offsets, place in rows]

    def prompt(self, turns: Sequence[Turn], *, place: str) -> list[int]:
        """Return the tokens from which the assistant's next turn is written."""
        return self._tokens(self._text(turns, place, ask=True))

    def _text_with_spans(self, turns: Sequence[Turn], place: str) -> tuple[str, list[Span]]:
        """Return the rendered conversation and, in characters, where each of the assistant's turns begins and at the latest ends."""
        inside = next((number for number, turn in enumerate(turns, start=1) if self._end_text in turn.text), None)
        if inside is not None:
            raise DataError(f"{place}, turn {inside}: its text holds {self._end_text!r}, the token that ends a turn; take it out")
        ours = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        if self._marked:
            text, spans = self._marked_text(turns, place)
            if len(spans) != len(ours):
                raise DataError(
                    f"{place}: the chat template marks {len(spans)} spans as generated, and {len(ours)} turns are the assistant's; mend the template"
                )
            return text, spans
        text = self._text(turns, place)
        starts: list[int] = []
        for index in ours:
            prompt = self._text(turns[:index], place, ask=True)
            if not text.startswith(prompt):
                raise DataError(
                    f"{place}: before turn {index + 1} the chat template writes the turns in another way than within the whole conversation, so that the "
                    "turn's tokens cannot be told; mark what is generated with {% generation %} … {% endgeneration %} in a file for task.chat_template"
                )
            starts.append(len(prompt))
        return text, list(zip(starts, [*starts[1:], len(text)], strict=True))

    def _marked_text(self, turns: Sequence[Turn], place: str) -> tuple[str, list[Span]]:
        def render() -> Any:
            special: dict[str, Any] = dict(self._tokenizer.special_tokens_map)
            return render_jinja_template(conversations=[_messages(turns)], chat_template=self._template, return_assistant_tokens_mask=True, **special)

        (text,), (spans,) = _explained(render, place)
        return text, [(begin, end) for begin, end in spans]

    def _text(self, turns: Sequence[Turn], place: str, *, ask: bool = False) -> str:
        return _explained(lambda: self._tokenizer.apply_chat_template(_messages(turns), tokenize=False, add_generation_prompt=ask), place)

    def _tokens(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _rendered(self, text: str, spans: Sequence[Span], tokens: list[int], offsets: Sequence[Span], place: str) -> Rendered:
        """Return the spans in tokens, each up to its end token."""
        starts = [_first_behind(offsets, begin) for begin, _ in spans]
        limits = [_first_behind(offsets, end) for _, end in spans]
        if any(start < len(offsets) and offsets[start][0] < begin for start, (begin, _) in zip(starts, spans, strict=True)):
            tokens, starts, limits = self._in_pieces(text, spans)  # else a token would reach from the prompt into the answer
        found: list[Span] = []
        for number, (start, limit) in enumerate(zip(starts, limits, strict=True)):
            beyond = limit + 1 if self._marked else limit  # marks may leave the end token out
            end = next((place for place in range(start, min(beyond, len(tokens))) if tokens[place] == self.end), None)
            if end is None and (not self._marked or number == len(starts) - 1):
                raise DataError(
                    f"{place}: the chat template writes no {self._end_text!r} behind turn {number + 1} of the assistant, as it does behind a single one; "
                    "name the token in task.end_tokens, or mend the template"
                )
            found.append((start, limit if end is None else end + 1))
        return Rendered(tokens[: found[-1][1]], tuple(found))

    def _in_pieces(self, text: str, spans: Sequence[Span]) -> tuple[list[int], list[int], list[int]]:
        """Return the tokens of a text that is cut where spans begin and end, and the tokens at which these begin and end."""
        cuts = sorted({0, len(text), *(place for span in spans for place in span)})
        tokens, at = [], {0: 0}
        for begin, end in pairwise(cuts):
            tokens += self._tokens(text[begin:end])
            at[end] = len(tokens)
        return tokens, [at[begin] for begin, _ in spans], [at[end] for _, end in spans]

    def _end_of_turn(self, names: Sequence[str] | None) -> int:
        """Return the token that the template writes behind a turn of the assistant."""
        asked, answer = Turn("user", "hello"), "goodbye"
        text = self._text([asked, Turn("assistant", answer)], "task.chat_template")
        tail = self._tokens(text[text.rindex(answer) + len(answer) :]) if answer in text else []
        if names is not None:
            (first, *_) = end_token_ids(self._tokenizer, names)
            if first not in tail:
                raise DataError(f"task.end_tokens: the chat template writes no {names[0]!r} behind a turn of the assistant, whose end could not be learned")
            return first
        special = {*self._tokenizer.all_special_ids, *self._tokenizer.added_tokens_decoder}
        found = next((token for token in tail if token in special), None)
        if found is None:
            raise DataError(
                "the chat template ends the assistant's turns with no token of its own, so that no end of an answer could be learned; let it write "
                '{{ eos_token }} behind them, name the token in task.end_tokens, or set task.chat_template = "chatml"'
            )
        return found


def _messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def _explained(render: Callable[[], Any], place: str) -> Any:
    try:
        return render()
    except (TemplateError, TypeError, ValueError) as error:
        raise DataError(f"{place}: the chat template does not render: {error}") from None


def _first_behind(offsets: Sequence[Span], character: int) -> int:
    """Return the first token that ends behind a character."""
    low, high = 0, len(offsets)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if offsets[middle][1] > character else (middle + 1, high)
    return low
