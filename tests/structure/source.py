"""The Python files of the repository and what the structure tests ask of them. Nothing is imported; files are parsed."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.paths import ROOT

PACKAGES = ("loretta_core", "jobs", "services", "cluster")
"""Folders of source code."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def modules(*folders: str) -> list[Path]:
    """Return the Python files below folders of the repository, without `__init__.py`."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py")


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def place(path: Path, node: ast.AST) -> str:
    """Return `file:line`, relative to the repository."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def listed(offenders: list[str], *, advice: str) -> str:
    """Return the message of a failure: what to do, how many in each folder, and each place."""
    counts: dict[str, int] = {}
    for offender in offenders:
        folder = "/".join(offender.split(":")[0].split("/")[:-1])
        counts[folder] = counts.get(folder, 0) + 1
    return "\n".join([advice, *(f"{count:4}  {folder}" for folder, count in sorted(counts.items())), *offenders])
