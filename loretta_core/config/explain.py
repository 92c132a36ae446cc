"""Error messages for sweep files: a pydantic ValidationError as sentences that say where, what was given and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loretta_core.config.engine import EngineConfig
from loretta_core.config.method import MethodConfig
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import TaskConfig
from loretta_core.config.trainer import TrainerConfig

MAX_PROBLEMS = 20
"""Most problems that a message lists."""

MAX_SHOWN = 300
"""Most characters of a value that a message shows."""

Origins = Mapping[str, str]
"""Dotted field of a cell → the place in the sweep file that set it, e.g. {"method": "axes.method[1]"}."""


def members(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the classes of a family by their `type`; a family may have one member, and a class may serve several types."""
    union = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    return {name: cls for cls in (get_args(union) or (union,)) for name in get_args(cls.model_fields["type"].annotation)}


FAMILIES: dict[str, dict[str, type[BaseModel]]] = {
    "model": members(ModelConfig),
    "task": members(TaskConfig),
    "method": members(MethodConfig),
    "trainer": members(TrainerConfig),
    "engine": members(EngineConfig),
}
"""Component of a cell → its classes by `type`."""


def explain(
    error: ValidationError, *, data: Mapping[str, Any], origins: Origins, known: Sequence[str], tables: Mapping[str, type[BaseModel]] | None = None
) -> str:
    """Return one line per problem found in the raw table `data`, `MAX_PROBLEMS` at most.

    `known` are the keys its top level may have, `tables` the classes of its tables."""
    details = error.errors(include_url=False)
    more = [f"and {counted} more" for counted in [len(details) - MAX_PROBLEMS] if counted > 0]
    return "\n".join([*(_one(detail, data=data, origins=origins, known=known, tables=tables or {}) for detail in details[:MAX_PROBLEMS]), *more])


def _one(detail: ErrorDetails, *, data: Mapping[str, Any], origins: Origins, known: Sequence[str], tables: Mapping[str, type[BaseModel]]) -> str:
    path = [str(part) for part in detail["loc"]]
    if len(path) > 1 and path[0] in FAMILIES and path[1] in FAMILIES[path[0]]:
        del path[1]  # pydantic puts the union's tag into the path; the file has no such level
    place = _place(path, origins)
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            said = f"{place} = {shown(given)}: unknown key. {allowed(path[-1], _siblings(path, data, tables) if len(path) > 1 else known)}"
            others = _where_it_is_known(path, data)
            return f"{said} It is a setting of {', '.join(others)}." if others else said
        case "missing":
            return f"{place}: missing. Give it, or put it under [defaults]."
        case "union_tag_invalid":
            return f"{place}.type = {shown(given.get('type'))}: unknown. {allowed(str(given.get('type')), list(FAMILIES[path[0]]))}"
        case "union_tag_not_found":
            return f"{place} = {shown(given)}: expected a name or a table with `type`, one of: {', '.join(FAMILIES[path[0]])}."
        case "tuple_type" | "list_type":
            return f"{place} = {shown(given)}: expected a list."
        case "value_error":
            return f"{place}: {detail['ctx']['error']}."
    return f"{place} = {shown(given)}: {detail['msg'][0].lower()}{detail['msg'][1:]}."


def _where_it_is_known(path: list[str], data: Mapping[str, Any]) -> list[str]:
    """Return the other members of a component's family that have the setting at `path`."""
    table = data.get(path[0])
    if len(path) != 2 or path[0] not in FAMILIES or not isinstance(table, Mapping) or table.get("type") not in FAMILIES[path[0]]:
        return []
    return [name for name, cls in FAMILIES[path[0]].items() if path[1] in keys_of(cls)]


def _place(path: list[str], origins: Origins) -> str:
    """Return the most precise known origin of a field, with the rest of its path."""
    for depth in range(len(path), 0, -1):
        known = origins.get(".".join(path[:depth]))
        if known is not None:
            return ".".join([known, *path[depth:]])
    return ".".join(path) or "cell"


def _siblings(path: list[str], data: Mapping[str, Any], tables: Mapping[str, type[BaseModel]]) -> list[str]:
    """Return the keys that stand where `path` leads: of a table of the file, of a component of the given type, or of a table in one of them."""
    table = data.get(path[0])
    kind = table.get("type") if isinstance(table, Mapping) else None
    family = FAMILIES.get(path[0], {})
    classes = [tables[path[0]]] if path[0] in tables else [family[kind]] if kind in family else []
    for part in path[1:-1]:
        fields = [field for cls in classes for name, field in cls.model_fields.items() if part in (name, field.alias)]
        classes = [cls for field in fields for cls in _models_in(field.annotation)] or classes  # a union's tag is in the path, and no level of the file
    return list(dict.fromkeys(key for cls in classes for key in keys_of(cls) if key != "type"))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the tables that an annotation allows: `Range | list[object]` → [Range]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [cls for part in get_args(annotation) for cls in _models_in(part)]


def shown(value: object) -> str:
    """Return a value as a message shows it: its beginning, where it is long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def keys_of(table: type[BaseModel]) -> list[str]:
    """Return the keys of a table as a file spells them."""
    return [field.alias or name for name, field in table.model_fields.items()]


def allowed(given: str, names: Sequence[str]) -> str:
    """Return the sentence of an error that names what may be given, and what was probably meant."""
    close = difflib.get_close_matches(given, names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names)}." if names else "Nothing can be set there."
