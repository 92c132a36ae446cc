"""Types that the settings of several tasks share: objectives, sources of rows, texts that keep their blanks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

Objective = Literal["head", "prompt", "causal"]
"""Forms of a question about a text."""
AnyObjective = Literal["head", "prompt", "causal", "tokens"]
"""These, and the one about each of its words."""
FRESH_HEADS = ("head", "tokens")
"""Objectives with a classification head that starts at random: on a text, or on each of its words."""
Rows = Annotated[int, Field(ge=1)]
COLUMN_FORMS = ("open", "lower")
"""What may stand behind a column in a template, `{column:open}` (`tasks/templates.py`)."""
Source = str | list[str]
"""Files or a hub data set: a path, a list of paths, a pattern, or `hf://owner/name:split`."""
Quoting = Literal["auto", "enclosed", "none"]
AsWritten = Annotated[str, StringConstraints(strip_whitespace=False)]
"""A text whose spaces and line breaks at the ends belong to it."""
