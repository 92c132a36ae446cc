"""How large folders, files and functions are: `python -m tests.structure.sizes` prints the table.

A function's length is that of its body: from the first to the last line that is neither signature nor docstring.
"""

import ast
from collections import Counter
from pathlib import Path
from statistics import median

from tests.paths import ROOT
from tests.structure.source import PACKAGES, Function, functions, modules, tree_of

MOST_FILES = 12
MOST_LINES = 400
MEDIAN_FUNCTION = 12
LONG_FUNCTION = 50


def files_per_folder(*folders: str) -> Counter[str]:
    """Return folder → Python files directly in it, without `__init__.py`."""
    return Counter(path.parent.relative_to(ROOT).as_posix() for path in modules(*folders))


def file_lengths(*folders: str) -> dict[Path, int]:
    """Return file → lines."""
    return {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*folders)}


def function_lengths(*folders: str) -> dict[str, int]:
    """Return `file:line name` → lines of the body, docstring not counted."""
    return {f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": _body(node) for path in modules(*folders) for node in functions(tree_of(path))}


def _body(function: Function) -> int:
    first = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.body[-1].end_lineno or 0) - first[0].lineno + 1 if first else 0


def percentile(values: list[int], share: float) -> int:
    """Return the value that `share` of the values do not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def table() -> str:
    """Return files per folder, and median and 95th percentile of functions and files, per package."""
    lines = [f"{'package':<14} {'files':>6} {'file median':>12} {'p95':>5} {'max':>5} {'functions':>10} {'median':>7} {'p95':>5} {'max':>5}"]
    for package in PACKAGES:
        files, lengths = [*file_lengths(package).values()], [*function_lengths(package).values()]
        sizes = f"{len(files):>6} {median(files):>12.0f} {percentile(files, 0.95):>5} {max(files):>5}"
        lines.append(f"{package:<14} {sizes} {len(lengths):>10} {median(lengths):>7.0f} {percentile(lengths, 0.95):>5} {max(lengths):>5}")
    lines += ["", *(f"{count:>3}  {folder}" for folder, count in sorted(files_per_folder(*PACKAGES).items()))]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
