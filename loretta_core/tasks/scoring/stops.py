"""Ends a written answer at the first stop text behind its beginning: blanks and line breaks before it are no part of it and end nothing."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.errors import DataError


def answer_in(text: str, stops: Sequence[str]) -> str:
    """Return the answer in what a model wrote, without blanks and line breaks around it."""
    begun = text.lstrip()
    places = [place for place in (begun.find(stop) for stop in stops) if place >= 0]
    return begun[: min(places, default=len(begun))].rstrip()


def ends(text: str, stops: Sequence[str]) -> bool:
    """Return True if a text has reached a stop."""
    begun = text.lstrip()
    return any(stop in begun for stop in stops)


def check_stops(answer: str, stops: Sequence[str], place: str) -> None:
    """Raise DataError for a reference that holds a stop text: no answer could equal it."""
    inside = next((stop for stop in stops if stop in answer.strip()), None)
    if inside is not None:
        raise DataError(f"{place}: the answer {answer.strip()[:60]!r} holds {inside!r}, at which writing ends; take it out of task.stop or out of the answer")
