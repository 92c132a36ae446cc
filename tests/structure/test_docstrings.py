"""The first line of a public docstring is a sentence that stands by itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.structure.source import PACKAGES, Documented, listed, modules, place, tree_of

DANGLING = re.compile(r"(Of|By|As|Whether|How|What|Those|Where|Which)\b")
FEWEST_WORDS = 4
OUTPUT = ("services/api/routes/", "services/api/schemas.py", "services/api/problems.py")
"""Files whose classes and functions are described in the API's document by their docstrings: these are output, which tests/golden holds."""
ADVICE = (
    "a docstring begins with a sentence that one understands without another file: a verb and its object (Return …, Write …, Raise …), or what the value is; "
    f"not with Of, By, As, Whether, How, What, Those, Where or Which, and with at least {FEWEST_WORDS} words:"
)


def public(tree: ast.AST) -> Iterator[Documented]:
    """Yield the module, and classes and functions without an underscore before the name, not those inside of functions or of private classes."""
    if isinstance(tree, ast.Module):
        yield tree
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)
        elif isinstance(node, ast.If | ast.Try):
            yield from public(node)


def checked(path: Path) -> Iterator[Documented]:
    """Yield what is public in a file, of those in OUTPUT the module alone."""
    is_output = path.relative_to(ROOT).as_posix().startswith(OUTPUT)
    return (node for node in public(tree_of(path)) if isinstance(node, ast.Module) or not is_output)


def is_a_sentence(text: str) -> bool:
    """Return whether the first line of a docstring stands by itself."""
    first = text.strip().splitlines()[0]
    return not DANGLING.match(first) and len(first.split()) >= FEWEST_WORDS


def test_first_lines_are_sentences():
    documented = [(path, node, ast.get_docstring(node)) for path in modules(*PACKAGES) for node in checked(path)]
    offenders = [f"{place(path, node)}: {text.splitlines()[0]}" for path, node, text in documented if text and not is_a_sentence(text)]
    assert not offenders, listed(offenders, advice=ADVICE)


@pytest.mark.parametrize(
    ("text", "good"), [("Return the id.", False), ("Of one sweep: all.", False), ("Return the id of a cell.", True), ("Asked and told what.", True)]
)
def test_what_a_sentence_is(text, good):
    assert is_a_sentence(text) == good
