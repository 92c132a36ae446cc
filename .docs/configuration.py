"""The pages of the configuration: every table of a sweep file with its fields, types, defaults and meanings, read from the config classes."""

import inspect

import values
from pydantic import BaseModel

from loretta_core.config import FAMILIES, CellConfig
from loretta_core.config.sweep.limits import Budget, EarlyStopping
from loretta_core.config.sweep.load import SweepHeader
from loretta_core.config.sweep.search import Range, Search

INTRODUCTIONS = {
    "model": 'The pre-trained model. `model = "toy-bert"` is short for `model = { type = "pretrained", name = "toy-bert" }`.',
    "task": 'The data, the form of the question and the metric. `task = "sst2"` takes every default of that type; a table sets fields.',
    "method": 'Which parameters train. `method = "lora"` takes every default; `method = { type = "lora", r = 4 }` sets fields.',
    "trainer": 'How they train. `trainer = "adam"` takes every default; `trainer = { type = "adam", lr = 1e-3 }` sets fields.',
    "engine": "On how many processes a cell is computed, and what they share. No part of a cell's id.",
}
"""What a family is, and how a sweep file names a member."""

SWEEP_TABLES: dict[str, type[BaseModel]] = {"budget": Budget, "early_stopping": EarlyStopping, "search": Search, "search.space": Range}


def pages() -> dict[str, str]:
    """Return name → text of the pages."""
    families = {family: _family(family, members) for family, members in FAMILIES.items()}
    return {"index": _index(), "sweep": _sweep(), "cell": _cell(), **families}


def _index() -> str:
    toctree = "\n".join(["```{toctree}", ":maxdepth: 2", "", "sweep", "cell", *FAMILIES, "```"])
    text = (
        "Every setting of a sweep file. A key that is not listed here is refused, with the nearest one that is. `loretta list` prints the same on a terminal."
    )
    return f"# Configuration\n\n{text}\n\n{toctree}\n"


def _sweep() -> str:
    parts = [
        "# Sweep file",
        "A TOML file. The keys below stand at its top; `[defaults]` holds fields that all cells share, `[axes]` lists to cross, `[[include]]` single cells "
        "besides the grid, `[[exclude]]` rules that drop cells of it.",
        _table(SweepHeader),
    ]
    for name, cls in SWEEP_TABLES.items():
        parts += [f"## {name}", _prose(cls), _table(cls)]
    return "\n\n".join(parts) + "\n"


def _cell() -> str:
    return "\n\n".join(["# Cell", _prose(CellConfig), "These fields may stand in `[defaults]`, in `[axes]` and behind `--set`.", _table(CellConfig)]) + "\n"


def _family(family: str, members: dict[str, type[BaseModel]]) -> str:
    classes: dict[type[BaseModel], list[str]] = {}
    for name, cls in members.items():
        classes.setdefault(cls, []).append(name)
    parts = [f"# {family}", INTRODUCTIONS[family]]
    for cls, names in classes.items():
        parts += [f"## {', '.join(names)}", _prose(cls), _table(cls)]
    return "\n\n".join(parts) + "\n"


def _prose(cls: type[BaseModel]) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _table(cls: type[BaseModel]) -> str:
    fields = {name: field for name, field in cls.model_fields.items() if name != "type"}
    if not fields:
        return "It has no settings."
    rows = [
        f"| `{name}` | {_one_line(values.of_field(field))} | {_one_line(values.default_of(field))} | {_one_line(field.description or '')} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows])


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
