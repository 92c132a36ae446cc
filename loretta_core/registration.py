"""Our method types become known to PEFT as soon as both packages are imported, in either order, and not before: PEFT brings torch. Standard library only.

PEFT has no entry points; a type exists once the code that adds it has run. If PEFT is there already, that code runs now. If not, a finder that steps aside
after its first use waits for `import peft` and runs it at the end of that import.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def register_with_peft() -> None:
    """Now, or when PEFT is imported."""
    if "peft" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterPeft())


def _register() -> None:
    importlib.import_module("loretta_core.adapters")  # its modules register their types


class _AfterPeft(MetaPathFinder):
    """Finds PEFT where it is, and lets its loader run `_register` last."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "peft":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("peft")
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_then_register(module: ModuleType) -> None:
                execute(module)
                _register()

            spec.loader.exec_module = execute_then_register  # of this one loader, made for this one import
        return spec
