"""Short names that tell the cells of one sweep apart.

A component is shown by its type alone ("lora") unless the sweep holds several of that type; then the fields in which they differ are added ("lora r=4",
"lora r=8"). Fields that all of them share are left to the record. Learning rates are not shown when every trainer of a type has the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from loretta_core.config import COMPONENTS, CellConfig
from loretta_core.schema import Typed, one_line

EXTRA_COLUMNS = ("precision", "batch_size", "seed")
"""Fields of a cell that become columns only where they vary."""


def component_labels(cells: Sequence[CellConfig]) -> list[dict[str, str]]:
    """Return the labels of each cell: {"model": …, "task": …, "method": …, "trainer": …}."""
    columns = {name: _distinguish([getattr(cell, name) for cell in cells]) for name in COMPONENTS}
    return [{name: columns[name][index] for name in COMPONENTS} for index in range(len(cells))]


def contender_names(cells: Sequence[CellConfig]) -> list[str]:
    """Name the contenders of a sweep, given as it has them before tuning: `lora · adam`, with what else differs between them."""
    labels = component_labels(cells)
    shown = [name for name in COMPONENTS if name in ("method", "trainer") or len({label[name] for label in labels}) > 1]
    extra = [name for name in varying_columns(cells) if name != "seed"]
    return [
        " · ".join([*(label[name] for name in shown), *(f"{name}={getattr(cell, name)}" for name in extra)]) for cell, label in zip(cells, labels, strict=True)
    ]


def varying_columns(cells: Sequence[CellConfig]) -> list[str]:
    """Return those of EXTRA_COLUMNS that take more than one value."""
    return [name for name in EXTRA_COLUMNS if len({getattr(cell, name) for cell in cells}) > 1]


def differing_settings(cells: Sequence[CellConfig]) -> list[str]:
    """Return the dotted names of the settings in which cells differ, seed and placement aside."""
    tables = [_settings(cell) for cell in cells]
    names = dict.fromkeys(name for table in tables for name in table)
    return [name for name in names if len({repr(table.get(name)) for table in tables}) > 1]


def settings_text(cell: CellConfig, names: Sequence[str]) -> str:
    """Write settings of a cell: `trainer.lr = 0.001, method.r = 8`."""
    values = _settings(cell)
    return ", ".join(f"{name} = {_number_or_text(values.get(name))}" for name in names)


def _settings(cell: CellConfig) -> dict[str, object]:
    """Return dotted name → value of every setting but the seed and placement."""
    found: dict[str, object] = {}
    for name, value in cell.to_dict().items():
        if name in ("seed", "engine"):
            continue
        found.update({f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value})
    return found


def _number_or_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else one_line(str(value))


def _distinguish(parts: Sequence[Typed]) -> list[str]:
    """Return one label per component; equal components get equal labels and different ones different labels."""
    keys = [part.model_dump_json() for part in parts]
    distinct = dict(zip(keys, parts, strict=True))  # thousands of cells are made of a few parts
    groups: dict[str, list[Typed]] = defaultdict(list)
    for part in distinct.values():
        groups[_plain_name(part)].append(part)
    differing = {name: _differing_fields(group) for name, group in groups.items()}
    labels = {key: _label(part, fields=differing[_plain_name(part)]) for key, part in distinct.items()}
    return [labels[key] for key in keys]


def _differing_fields(group: Sequence[Typed]) -> list[str]:
    """Return the names of the settings in which a group differs; a name that only some of them have differs."""
    settings = [part.model_dump(exclude={"type"}) for part in group]
    names = dict.fromkeys(name for table in settings for name in table)
    return [name for name in names if any(table.get(name, _ABSENT) != settings[0].get(name, _ABSENT) for table in settings)]


_ABSENT = object()


def _plain_name(part: Typed) -> str:
    """Return the last part of a model's name, the short name of anything else."""
    return part.caption if part.type == "pretrained" else part.short_name


def _label(part: Typed, *, fields: Sequence[str]) -> str:
    settings = part.model_dump(exclude={"type"})
    shown = [f"{name}={_short(settings[name])}" for name in fields if name in settings and name != "name"]
    # Two checkpoints in directories of the same name are told apart by the whole name.
    whole = part.type == "pretrained" and "name" in fields
    return " ".join([str(settings["name"]) if whole else _plain_name(part), *shown])


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)  # six digits where they are enough to tell values apart
    if isinstance(value, (list, tuple)):
        return one_line("+".join(map(str, value)))
    return "default" if value is None else one_line(str(value))
