"""`loretta list`: the methods, models, tasks, trainers and engines that a sweep can name, read from the config classes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from loretta_core.config import FAMILIES
from loretta_core.config.metrics import EXTRACTORS, METRICS, STOPS
from loretta_core.config.model import TOY_MODELS
from loretta_core.config.sweep.spaces import trainer_ranges
from loretta_core.methods.table import METHODS
from loretta_core.plan.architectures.overview import COLUMNS, overview
from loretta_core.report.tables import Table, to_text
from loretta_core.sites import ARCHITECTURES, BY_RULE, DECODERS
from loretta_core.support import HEAD_REFUSED, support_table

WIDTH = 110

_NOTES = {
    "models": f'Shipped with the package: {", ".join(TOY_MODELS)}. In a sweep, model = "toy-bert" is short for {{type = "pretrained", name = "toy-bert"}}.',
    "tasks": 'In a sweep, task = "toy_sentiment" takes every default; a table sets fields: task = {type = "jsonl", train = "…", validation = "…"}.',
    "methods": 'In a sweep, method = "lora" takes every default; a table sets fields: method = {type = "lora", r = 4}.',
    "trainers": 'In a sweep, trainer = "adam" takes every default; a table sets fields: trainer = {type = "adam", lr = 1e-3}.',
    "engines": 'In a sweep, engine = "ddp" takes every default; a table sets fields: {type = "zero", stage = 3, workers = 4}. No part of a cell\'s id.',
}


def listing(what: str, *, as_json: bool) -> str:
    """Return name, description and fields of every member of a family (`methods`, `models`, `tasks`, `trainers`, `engines`) as text or JSON."""
    entries = [_entry(name, cls) | _more(what, name) for name, cls in FAMILIES[what.removesuffix("s")].items()]
    if as_json:
        return json.dumps(entries, indent=1, ensure_ascii=False)
    tables = {"methods": lambda: [support_text()], "models": lambda: [architectures_text()], "tasks": scoring_texts}
    return "\n\n".join([*map(_text, entries), *tables.get(what, list)(), textwrap.fill(_NOTES[what], WIDTH)])


def _more(what: str, name: str) -> dict[str, Any]:
    """Return what is said of a member of one family alone."""
    match what:
        case "methods":
            rates = METHODS[name].learning_rates._asdict()
            return {"refused": refused_by(name), "learning_rates": {family: found._asdict() for family, found in rates.items()}}
        case "trainers":
            return {"default_space": {setting: found._asdict() for setting, found in trainer_ranges(name).items()}}
        case "models":
            return {"architectures": [dict(zip(COLUMNS, row, strict=True)) for row in overview()]}
        case _:
            return {}


def scoring_texts() -> list[str]:
    """Return the metrics, extractors and stops that a task can name, each with what it is."""
    metrics = {name: f"{' or '.join(kind.replace('_', ' ') for kind in kinds)}: {text}" for name, (kinds, text) in METRICS.items()}
    titles = {"Metrics (task.metric)": metrics, "Extractors of a written answer (task.extract)": EXTRACTORS, "Ends of a written answer": STOPS}
    return [_glossary(title, entries) for title, entries in titles.items()]


def _glossary(title: str, entries: Mapping[str, str]) -> str:
    margin = max(map(len, entries)) + 4
    lines = [textwrap.fill(text, WIDTH, initial_indent=f"  {name}".ljust(margin), subsequent_indent=" " * margin) for name, text in entries.items()]
    return "\n".join([title, *lines])


def refused_by(method: str) -> dict[str, str]:
    """Return the architectures on which a method does not work, with the reason."""
    return {model_type: reason for model_type, reason in support_table().get(method, {}).items() if reason}


def support_text() -> str:
    """Return the table of methods by architecture, with the reason for every "no" below it."""
    table = support_table()
    reasons = dict.fromkeys(reason for row in table.values() for reason in row.values() if reason)
    shown = {None: "yes", **{reason: f"no ({number})" for number, reason in enumerate(reasons, start=1)}}
    body = tuple((model_type, *(shown[row[model_type]] for row in table.values())) for model_type in (*ARCHITECTURES, *BY_RULE))
    heads = (
        f"With a classification head on {', '.join(DECODERS)}: no {' and no '.join(HEAD_REFUSED)}, because {'; '.join(dict.fromkeys(HEAD_REFUSED.values()))}."
    )
    notes = [*(f"({number}) {reason}" for number, reason in enumerate(reasons, start=1)), heads, _OTHERS]
    wrapped = [textwrap.fill(note, WIDTH, initial_indent="  ", subsequent_indent="      ") for note in notes]
    return "\n".join(["Which method works on which architecture", "", to_text(Table(columns=("", *table), body=body, numeric=0)), "", *wrapped])


_OTHERS = "Other architectures are tried, with the layers that the structural rule finds or your target_modules. `peft` depends on the method of PEFT."


def architectures_text() -> str:
    """Return the table of architectures: by which rule methods find their layers, which these are, and what is planned; special cases below it."""
    special: dict[str, list[str]] = {}
    for model_type, note in BY_RULE.items():
        if note:
            special.setdefault(note, []).append(model_type)
    notes = [_SIDES, *(f"{', '.join(names)}: {note}." for note, names in special.items()), _UNLISTED]
    wrapped = [textwrap.fill(note, WIDTH, initial_indent="  ", subsequent_indent="      ") for note in notes]
    return "\n".join(["Architectures and their layers", "", to_text(Table(columns=COLUMNS, body=overview(), numeric=0)), "", *wrapped])


_SIDES = "→name: changed on its input, name→: on its output. The table has the layers that papers name; the structural rule finds layers by place and shape."
_UNLISTED = "The structural rule is tried on every other architecture; where it finds no block, an error lists the linear layers to choose target_modules from."


def _entry(name: str, cls: type[BaseModel]) -> dict[str, Any]:
    fields = [
        {
            "name": key,
            "default": None if field.default is PydanticUndefined else field.default,
            "required": field.is_required(),
            "description": field.description or "",
        }
        for key, field in cls.model_fields.items()
        if key != "type"
    ]
    return {"name": name, "description": _first_paragraph(cls.__doc__ or ""), "fields": fields}


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def _text(entry: dict[str, Any]) -> str:
    shown = [(f"{field['name']} = {_default(field)}", field["description"]) for field in entry["fields"]]
    margin = max((len(setting) for setting, _ in shown), default=0) + 4
    lines = [
        textwrap.fill(" ".join(description.split()), WIDTH, initial_indent=f"  {setting}".ljust(margin), subsequent_indent=" " * margin)
        for setting, description in shown
    ]
    description = textwrap.fill(entry["description"], WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([entry["name"], description, *lines, *_ranges(entry)])


def _ranges(entry: dict[str, Any]) -> list[str]:
    """Return the default ranges of [tune], with their sources."""
    rates = {f"[tune] trainer.lr, {family.replace('_', ' ')}": found for family, found in entry.get("learning_rates", {}).items()}
    own = {f"[tune] trainer.{name}": found for name, found in entry.get("default_space", {}).items()}
    return [
        textwrap.fill(f"{name}: {found['low']:g} to {found['high']:g} ({found['source']})", WIDTH, initial_indent="  ", subsequent_indent="      ")
        for name, found in {**rates, **own}.items()
    ]


def _default(field: dict[str, Any]) -> str:
    """Return the default of a field as TOML, which has no null."""
    if field["required"]:
        return "(required)"
    return "(none)" if field["default"] is None else json.dumps(field["default"], ensure_ascii=False)
