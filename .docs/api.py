"""The pages of the API: modules, classes and functions with their docstrings, which are Markdown. Read from the source by Griffe; nothing is imported.

One page per room. Public is what has no underscore before its name, and a method or an attribute is shown where it has a docstring.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe
from sphinx.util.logging import getLogger

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("loretta_core", "jobs", "services")
LIBRARY = "loretta_core"

LOG = getLogger(__name__)
INTRODUCTION = (
    "What every module holds. Names with an underscore are private and not listed. The names that `import loretta_core` offers are listed at its top."
)


def pages() -> dict[str, str]:
    """Return name → text of the pages."""
    rooms: dict[str, list[griffe.Module]] = {}
    for package in PACKAGES:
        loaded = griffe.load(package, search_paths=[str(ROOT)], allow_inspection=False)
        assert isinstance(loaded, griffe.Module)
        for module in _modules(loaded):
            rooms.setdefault(_room(module.path), []).append(module)
    index = "\n".join(["```{toctree}", ":maxdepth: 1", "", *rooms, "```"])
    return {"index": f"# API\n\n{INTRODUCTION}\n\n{index}\n", **{room: _page(room, modules) for room, modules in rooms.items()}}


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for child in sorted(module.modules.values(), key=lambda child: child.name):
        if not child.is_alias and not child.name.startswith("_"):
            yield from _modules(child)


def _room(path: str) -> str:
    """Return the page of a module: its package, in the library the package below it."""
    parts = path.split(".")
    in_room = parts[0] == LIBRARY and len(parts) > 1 and (ROOT / LIBRARY / parts[1]).is_dir()
    return ".".join(parts[: 2 if in_room else 1])


def _page(room: str, modules: list[griffe.Module]) -> str:
    return "\n\n".join([f"# {room}", *(part for module in modules for part in _module(module))]) + "\n"


def _module(module: griffe.Module) -> Iterator[str]:
    shown = [text for member in _public(module) for text in _member(member, fence=8)]
    if module.docstring is None and not shown:
        return
    yield f"## {module.path}"
    yield f"```{{py:module}} {module.path}\n```"
    yield _docstring(module)
    yield from _exports(module)
    yield from shown


def _exports(module: griffe.Module) -> Iterator[str]:
    """Yield the list of the names that a package offers from modules below it."""
    offered = {name: module.members[str(name)] for name in module.exports or () if str(name) in module.members}
    lines = [f"- {{py:obj}}`{name} <{member.target_path}>`" for name, member in offered.items() if isinstance(member, griffe.Alias)]
    if lines:
        yield "\n".join(lines)


def _public(parent: griffe.Module | griffe.Class) -> Iterator[griffe.Object]:
    for name, member in parent.members.items():
        if not name.startswith("_") and not member.is_alias and not member.is_module and isinstance(member, griffe.Object):
            yield member


def _member(member: griffe.Object, *, fence: int) -> Iterator[str]:
    """Yield the directive of a function, class or attribute; nothing for one without a docstring and without documented members."""
    if isinstance(member, griffe.Class):
        inner = [text for child in _public(member) for text in _member(child, fence=fence - 1)]
        yield _directive("class", _class_signature(member), "\n\n".join([_docstring(member), *inner]), fence=fence)
    elif isinstance(member, griffe.Function) and (member.docstring or not isinstance(member.parent, griffe.Class)):
        kind = "method" if isinstance(member.parent, griffe.Class) else "function"
        yield _directive(kind, _signature(member), _docstring(member), fence=fence)
    elif isinstance(member, griffe.Attribute) and member.docstring:
        kind = "property" if "property" in member.labels else "attribute" if isinstance(member.parent, griffe.Class) else "data"
        yield _directive(kind, member.name, _docstring(member), fence=fence)


def _directive(kind: str, signature: str, content: str, *, fence: int) -> str:
    return "\n".join(["`" * fence + f"{{py:{kind}}} {signature}", "", content, "`" * fence])


def _class_signature(cls: griffe.Class) -> str:
    bases = ", ".join(str(base) for base in cls.bases)
    return f"{cls.name}({bases})" if bases else cls.name


def _signature(function: griffe.Function) -> str:
    return function.signature(return_type=True).replace("\n", " ")


def _docstring(member: griffe.Object) -> str:
    """Return the docstring with its `Args:` as a list."""
    if member.docstring is None:
        return ""
    parts = []
    for section in member.docstring.parse("google", warn_unknown_params=False, warn_missing_types=False, warnings=False):
        match section:
            case griffe.DocstringSectionText():
                parts.append(section.value)
            case griffe.DocstringSectionParameters() | griffe.DocstringSectionAttributes():
                entries = [(_described(entry), entry.description) for entry in section.value]
                _check_names(member, [name for names, _ in entries for name in names])
                parts.append("\n".join(f"- {', '.join(f'`{name}`' for name in names)}: {_indented(description)}" for names, description in entries))
            case _:
                LOG.warning("%s: a docstring's section %r is not shown; write a sentence", member.path, section.kind.value, type="api")
    return "\n\n".join(parts)


def _check_names(member: griffe.Object, described: list[str]) -> None:
    """Warn of a name that the docstring describes and the code does not have. A class is described by its fields or by those of `__init__`."""
    if isinstance(member, griffe.Function):
        known = {parameter.name for parameter in member.parameters}
    else:
        init = member.members.get("__init__")
        known = {*member.members, *(parameter.name for parameter in init.parameters)} if isinstance(init, griffe.Function) else {*member.members}
    for name in described:
        if name.lstrip("*") not in known:
            LOG.warning("%s: its docstring describes %r, which it does not have", member.path, name, type="api")


def _described(entry: griffe.DocstringParameter | griffe.DocstringAttribute) -> list[str]:
    """Return the names that an entry describes: `a, b: text` describes two. Griffe takes what follows the first comma of an attribute for its type."""
    text = f"{entry.name} {str(entry.annotation).strip('()')}" if entry.name.endswith(",") else entry.name
    return text.split(", ")


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
