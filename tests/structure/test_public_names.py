"""Tests use public names of our modules only, so that a change inside a module breaks no test."""

import ast
import re
from collections.abc import Iterator

from tests.structure.source import PACKAGES, listed, modules, place, tree_of

ADVICE = "a test reaches for a private name of our modules; test through a public one, or make the name public if it is worth a test:"
_PRIVATE = re.compile(r"_[a-zA-Z]\w*")


def defined(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module defines: functions, classes, variables and attributes of `self`."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def reached_for(tree: ast.Module, *, private: set[str]) -> Iterator[tuple[ast.AST, str]]:
    """Yield the places where a test imports a private name of ours or reads one as an attribute; `self._name` is the test's own."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] in PACKAGES:
                yield from ((node, alias.name) for alias in names if _PRIVATE.fullmatch(alias.name))
            case ast.Attribute(value=value, attr=name) if name in private and not (isinstance(value, ast.Name) and value.id in ("self", "cls")):
                yield node, name


def test_no_test_reaches_for_a_private_name():
    private = {name for path in modules(*PACKAGES) for name in defined(tree_of(path)) if _PRIVATE.fullmatch(name)}
    reached = [(path, *found) for path in modules("tests") for found in reached_for(tree_of(path), private=private)]
    offenders = [f"{place(path, node)}: {name}" for path, node, name in reached]
    assert not offenders, listed(offenders, advice=ADVICE)


def test_what_reaching_is():
    tree = ast.parse("from jobs.sweep import _parser, sweep\nsweep._hidden\nself._hidden\nother._fields\n")
    assert [name for _, name in reached_for(tree, private={"_hidden"})] == ["_parser", "_hidden"]
