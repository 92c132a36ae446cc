"""The two base classes of every config object.

A config is a value: frozen, compared by content, and closed (an unknown key is an error, never ignored). Each field carries its meaning, unit and the
paper's default in the docstring below it, which `loretta list` shows. Validators reject; they never rewrite.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen, closed config table."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=(), str_strip_whitespace=True
    )


class Typed(Strict):
    """A member of a family: its `type` names it in TOML, in tables and in the cell's id."""

    type: str

    @property
    def short_name(self) -> str:
        """The name in tables."""
        return self.type

    @property
    def meaning(self) -> int:
        """Version of what these settings mean, part of the cell's id where it is above 1: raised for the settings whose results a change of meaning changes."""
        return 1

    def changed(self) -> dict[str, object]:
        """Return the fields that differ from their defaults, without `type`."""
        return self.model_dump(exclude_defaults=True, exclude={"type"})

    @property
    def caption(self) -> str:
        """`type`, or `type(field=value, …)` with the fields that differ from their defaults."""
        fields = ", ".join(f"{name}={_short(value)}" for name, value in self.changed().items())
        return f"{self.type}({fields})" if fields else self.type


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else one_line(str(value))


def one_line(text: str) -> str:
    """Return a text with its line breaks, tabs and other characters without a shape as a program writes them: `\\n`."""
    return text if text.isprintable() else "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
