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
