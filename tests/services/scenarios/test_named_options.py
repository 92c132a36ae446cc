"""Every option that a message names exists on the command to which it is recommended."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import cli
from tests.paths import ROOT

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"loretta ([a-z]+)([^`;,]*)")
FOREIGN = {"--head", "--local-dir", "--repo-type", "--force-reinstall", "--no-cache-dir", "--no-deps", "--register"}
"""Options of `ray start`, `hf download` and `pip install`, which messages name too, and that of `loretta export` which names a registered model."""

SWEEPING = (
    "jobs/orchestration",
    "jobs/execution",
    "jobs/scheduling",
    "jobs/storage",
    "jobs/tracking",
    "jobs/failures",
    "loretta_core/config",
    "loretta_core/store",
)
"""Rooms whose errors people meet in `loretta sweep` and `loretta run`."""


def texts(*rooms: str) -> Iterator[str]:
    """Yield every text of the rooms that is no docstring; the parts of an f-string are one text."""
    for path in sorted(path for room in rooms for path in Path(ROOT, room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings | inside:
                yield node.value


@pytest.fixture
def options(capsys):
    def read(command: str) -> set[str]:
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        return set(OPTION.findall(capsys.readouterr().out))

    return read


def test_a_command_in_a_message_has_the_options_that_are_named_with_it(options):
    named: dict[str, set[str]] = {}
    for text in texts("loretta_core", "jobs", "services"):
        for command, rest in COMMAND.findall(text):
            named.setdefault(command, set()).update(OPTION.findall(rest))
    given = {command: found for command, found in named.items() if found}
    assert given.keys() >= {"sweep", "doctor", "compare", "serve", "token"}
    for command, found in given.items():
        assert found <= options(command), command


@pytest.mark.parametrize(("command", "lacks"), [("sweep", set()), ("run", {"--dry-run", "--json"})])  # the two concern a file
def test_what_errors_of_a_sweep_recommend_exists(command, lacks, options):
    own = [COMMAND.sub("", text) for text in texts(*SWEEPING)]
    named = {option for text in own for option in OPTION.findall(text)} - FOREIGN
    assert named >= {"--out", "--set", "--tracking-uri"}
    assert named - lacks <= options(command)
