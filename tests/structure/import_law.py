"""The import law as CONTRIBUTING.md prints it, made from the contracts in pyproject.toml.

python -m tests.structure.import_law            # print it
python -m tests.structure.import_law --write    # into CONTRIBUTING.md
"""

import sys
import tomllib
from typing import Any

from tests.paths import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN = "<!-- import law: written by `python -m tests.structure.import_law --write` -->\n"
END = "<!-- end of the import law -->\n"


def contracts() -> list[dict[str, Any]]:
    """Return the contracts of import-linter."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def law() -> str:
    """Return one list item per contract."""
    return "".join(f"- {_sentence(contract)}\n" for contract in contracts())


def _sentence(contract: dict[str, Any]) -> str:
    match contract["type"]:
        case "layers":
            layers = " > ".join(contract["layers"])
            said = f"`{layers}`" if "containers" not in contract else f"in {_names(contract['containers'])}: `{layers}`"
        case "forbidden":
            directly = " directly" if contract.get("allow_indirect_imports") else ""
            said = f"{_names(contract['source_modules'])} may not{directly} import {_names(contract['forbidden_modules'])}"
        case other:
            raise ValueError(f"contract {contract['name']!r} is of type {other!r}; say in tests/structure/import_law.py how to print it")
    return f"{said}{_exceptions(contract)}"


def _names(modules: list[str]) -> str:
    return ", ".join(f"`{module}`" for module in modules)


def _exceptions(contract: dict[str, Any]) -> str:
    ignored = contract.get("ignore_imports", [])
    return f" (except {_names(ignored)})" if ignored else ""


def printed() -> str:
    """Return the law as CONTRIBUTING.md has it. Raises ValueError when the marks of its place are missing."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"CONTRIBUTING.md has no place for the import law: it needs the lines\n{BEGIN}{END}")
    return text.split(BEGIN)[1].split(END)[0]


def write() -> None:
    """Replace the law in CONTRIBUTING.md by that of pyproject.toml."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    CONTRIBUTING.write_text(text.replace(f"{BEGIN}{printed()}{END}", f"{BEGIN}{law()}{END}"), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    else:
        sys.stdout.write(law())
