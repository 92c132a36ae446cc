"""The layers that a method attaches to: those of the architecture's table or the user's own, each checked against the layers that exist."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loretta_core.errors import MethodError
from loretta_core.methods.table import METHODS
from loretta_core.sites import ARCHITECTURES, ATTACHMENTS, Sites, candidate_names, matching


def attached_methods() -> list[str]:
    """Return the names of the methods that attach to layers, sorted by their kind of attachment."""
    return [name for kind in ATTACHMENTS for name, method in METHODS.items() if method.attachment == kind]


def sites_for(model_type: str, method: str) -> Sites:
    """Return the layers of `model_type` (its name in a Hugging Face config) that `method` changes. Raises MethodError if there is no entry."""
    attachment = METHODS[method].attachment
    if attachment is None:
        raise MethodError(f"method {method!r} attaches to no sites; methods that do: {', '.join(attached_methods())}")
    if model_type not in ARCHITECTURES:
        raise MethodError(
            f"{method}: no sites are known for the architecture {model_type!r}; set `target_modules` to the names of its linear layers. "
            f"Known architectures: {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[model_type].sites(attachment)


def input_side_names(targets: Collection[str], *, model_type: str, method: str) -> tuple[str, ...]:
    """Return those of a user's own `targets` that `method` changes on the input: the architecture's table puts them there, as `fc1` in OPT for adapters."""
    entry, attachment = ARCHITECTURES.get(model_type), METHODS[method].attachment
    known = entry.sites(attachment).input if entry and attachment else ()
    return tuple(sorted(target for target in targets if any(target == name or target.endswith(f".{name}") for name in known)))


def is_on_input(path: str, *, in_features: int, out_features: int, model_type: str, method: str) -> bool:
    """Return whether `method` changes the linear layer at `path` on its input: as the architecture's table says, and for a layer that is not in it by its role.

    Adapters sit on the side of the hidden width. A layer that widens leads into the feed-forward block, so that is its input; of one that narrows (out of the
    block) or keeps the width (attention) it is the output.
    """
    attachment = METHODS[method].attachment
    entry = ARCHITECTURES.get(model_type)
    known = entry.sites(attachment) if entry and attachment else Sites()
    for names, on_input in ((known.input, True), (known.output, False)):
        if any(matching([path], target=name) for name in names):
            return on_input
    return attachment == "adapters" and in_features < out_features


def shortest_names(paths: Collection[str], *, others: Collection[str]) -> list[str]:
    """Return short ends of `paths` that name all of them and none of `others`. Raises MethodError for a path that is itself the end of another."""
    taken = {end for path in others for end in _ends(path)}
    names: dict[str, None] = {}
    for path in paths:
        name = next((end for end in _ends(path) if end not in taken), None)
        if name is None:
            raise MethodError(f"the layer {path!r} cannot be told from others by its name; give `input_modules`, or attach to one of them only")
        names[name] = None
    return list(names)


def _ends(path: str) -> list[str]:
    """Return the ends of a path, the shortest first: what `matching` accepts for it."""
    parts = path.split(".")
    return [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def resolve_targets(targets: Collection[str] | None, *, linear_paths: Sequence[str], method: str, model_type: str) -> list[str]:
    """Return the names to attach to: `targets`, or the architecture's own sites for None.

    Every name must match at least one linear layer; otherwise, and for an unknown architecture, MethodError lists the names that exist.
    """
    names = ", ".join(candidate_names(linear_paths)) or "none"
    if targets is None:
        if model_type not in ARCHITECTURES:
            raise MethodError(f"{method}: no sites are known for the architecture {model_type!r}; set `target_modules` to some of its linear layers: {names}")
        targets = sites_for(model_type, method).names
    unmatched = [target for target in targets if not matching(linear_paths, target=target)]
    if unmatched:
        raise MethodError(f"{method}: target_modules={list(targets)}: {unmatched} matched no Linear in {model_type}; names there: {names}")
    return list(targets)
