"""The methods in the words of the report's glossary."""

from __future__ import annotations

from loretta_core.methods.table import METHODS

_FIRST = ("ft", "lora", "adapters", "loretta_adp", "loretta_rep", "bitfit")
"""Methods that are explained before the others, since their words build on each other."""


def explain_methods() -> str:
    """Return one sentence per explanation, `lora: a low-rank update of some matrices.`; methods that share one are named together."""
    names: dict[str, list[str]] = {}
    for name in sorted(METHODS, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        names.setdefault(METHODS[name].explanation, []).append(name)
    return " ".join(f"{_listed(same)}: {explanation}." for explanation, same in names.items())


def _listed(names: list[str]) -> str:
    return " and ".join(names) if len(names) == 2 else ", ".join(names)
