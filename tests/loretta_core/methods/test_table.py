"""The table of methods: every line is a class of that name, and every class is complete."""

import ast
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from loretta_core.methods import METHODS
from tests.paths import ROOT


@pytest.mark.parametrize("name", METHODS)
def test_a_line_leads_to_the_class_of_its_name(name):
    assert get_args(METHODS[name].model_fields["type"].annotation) == (name,)


@pytest.mark.parametrize("name", METHODS)
def test_the_report_has_words_for_every_method(name):
    assert METHODS[name].explanation
    assert METHODS[name].__doc__


@pytest.mark.parametrize("name", METHODS)
def test_the_peft_config_exists(name):
    if METHODS[name].peft_config is None:
        assert METHODS[name].every_weight_trains
        return
    module, _, attribute = METHODS[name].peft_config.partition(":")
    assert callable(getattr(import_module(module), attribute))


def names_methods(path: Path) -> list[str]:
    """Return the lines of a module that import a method's class or compare its type."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("loretta_core.config.method", "loretta_core.methods.descriptors")):
            found += [f"{path}:{node.lineno}: {alias.name}" for alias in node.names if alias.name != "MethodConfig"]
        if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("method.type"):
            found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_no_other_room_asks_for_a_method_by_name():
    allowed = [ROOT / "loretta_core/config/method.py", ROOT / "loretta_core/methods/table.py"]
    modules = [path for package in ("loretta_core", "jobs", "services") for path in (ROOT / package).rglob("*.py") if path not in allowed]
    assert [line for path in modules for line in names_methods(path)] == []
