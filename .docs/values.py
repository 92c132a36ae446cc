"""The values of a config field in words: its type as a TOML author sees it, its bounds, its default."""

import json
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from loretta_core.config import FAMILIES

_NAMES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false", dict: "table", NoneType: "none", Any: "any value"}
_BOUNDS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def of_field(field: FieldInfo) -> str:
    """Return what may be given, such as `integer ≥ 1` or `"auto"` or `"off"`."""
    return _with_bounds(_type(field.annotation), field.metadata)


def default_of(field: FieldInfo) -> str:
    """Return the default as TOML would spell it; TOML has no null."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump().get("type")
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_bounds(_type(arguments[0]), arguments[1:])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
    if origin in (Union, UnionType):
        return _union(arguments)
    if origin in (list, tuple):
        kinds = [_type(kind) for kind in arguments if kind is not ...]
        return f"list of {kinds[0]}" if len({*kinds}) == 1 else f"list of {', '.join(kinds)}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    return _NAMES.get(annotation) or _table_name(annotation)


def _union(arguments: tuple[Any, ...]) -> str:
    families = {name for name, members in FAMILIES.items() if set(arguments) <= {*members.values()}}
    return f"[{families.pop()}]" if families else " or ".join(_type(kind) for kind in arguments if kind is not NoneType)


def _table_name(cls: type) -> str:
    """Return a config class as the name of its family, or as a table."""
    return next((f"[{name}]" for name, members in FAMILIES.items() if cls in members.values()), "table")


def _with_bounds(text: str, metadata: Any) -> str:
    constraints = [constraint for each in metadata for constraint in (each.metadata if isinstance(each, FieldInfo) else [each])]
    bounds = [
        f"{sign} {getattr(each, name):g}" for each in constraints for kind, sign in _BOUNDS.items() if type(each) is kind for name in [kind.__name__.lower()]
    ]
    bounds += ["not empty" for each in constraints if isinstance(each, MinLen)]
    return f"{text} {', '.join(bounds)}" if bounds else text
