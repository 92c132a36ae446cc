"""A test asserts something; one that only has to get through says so in its name."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.structure.source import Function, functions, listed, modules, place, tree_of

NOTHING_RAISED = re.compile(r"does_not_raise|do_not_raise|is_accepted|are_accepted")
_ASSERTING_CALL = re.compile(r"(check|assert)_\w+|raises|warns|fail")
ADVICE = (
    "a test asserts with `assert`, `pytest.raises` or `pytest.warns`, or with a helper whose name begins with `check_` or `assert_`; one that passes when "
    "nothing is raised says so in its name, `…_is_accepted` or `…_does_not_raise`:"
)


def collected(tree: ast.Module) -> Iterator[Function]:
    """Yield the test functions of a file."""
    return (function for function in functions(tree) if function.name.startswith("test_"))


def asserts(function: Function) -> bool:
    """Return whether the function asserts by itself or calls what does by its name."""
    return any(isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _ASSERTING_CALL.fullmatch(_called(node))) for node in ast.walk(function))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def test_every_test_asserts_or_says_that_it_does_not():
    silent = [(path, test) for path in modules("tests") for test in collected(tree_of(path)) if not asserts(test) and not NOTHING_RAISED.search(test.name)]
    offenders = [f"{place(path, test)}: {test.name}" for path, test in silent]
    assert not offenders, listed(offenders, advice=ADVICE)


@pytest.mark.parametrize(("body", "good"), [("assert 1", True), ("check_it(1)", True), ("with pytest.raises(E): f()", True), ("f()", False)])
def test_what_asserting_is(body, good):
    [function] = collected(ast.parse(f"def test_a():\n    {body}\n"))
    assert asserts(function) == good
