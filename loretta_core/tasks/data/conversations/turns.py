"""Turns of a conversation as files have them: `role` and `content` (messages), or `from` and `value` (ShareGPT), in a list or as JSON text.

The roles become those of chat templates: human → user, gpt → assistant. What a template could not show is refused with its row: an unknown role, calls of
tools, images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.labels import shortened
from loretta_core.tasks.data.rows import Turn

FORMS = (("role", "content"), ("from", "value"))
"""Keys of a turn: who speaks, and what."""
ROLES = {
    **{name: name for name in ("system", "user", "assistant", "tool")},
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("developer",), "system"),
}
"""Name in a file, in small letters → role in chat templates."""


def turns_in(cell: Any, place: str, column: str) -> tuple[Turn, ...]:
    """Return the turns in a cell. Raises DataError with the place of what is no turn."""
    turns = _parsed(cell) if isinstance(cell, str) else cell
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{place}: column {column!r} is {shortened(cell)}; expected a list of turns, such as [{{'role': 'user', 'content': 'Hello'}}, …]")
    return tuple(_turn(turn, f"{place}, turn {number}") for number, turn in enumerate(turns, start=1))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _turn(turn: Any, place: str) -> Turn:
    form = next((keys for keys in FORMS if isinstance(turn, Mapping) and all(key in turn for key in keys)), None)
    if form is None:
        raise DataError(f"{place} is {shortened(turn)}; expected an object with role and content, or from and value")
    name, said = (turn[key] for key in form)
    role = ROLES.get(str(name).strip().lower())
    if role is None:
        raise DataError(f"{place}: the role {shortened(name)} is unknown; expected one of {', '.join(ROLES)}")
    calls = [key for key in ("tool_calls", "function_call") if turn.get(key)]
    if calls:
        raise DataError(f"{place} has {calls[0]}, which this task does not show to the model; write the call into the text of the turn, or leave the row out")
    return Turn(role, _text(said, place))


def _text(said: Any, place: str) -> str:
    """Return the text of a turn, which may come in parts."""
    if said is None:
        return ""
    if isinstance(said, str):
        return said
    parts = said if isinstance(said, list) else [said]
    if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) and part.get("type", "text") == "text" for part in parts):
        raise DataError(f"{place} says {shortened(said)}; expected a text, or a list of parts of type text")
    return "".join(part["text"] for part in parts)
