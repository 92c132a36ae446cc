"""The layers that a method attaches to: those of the architecture's table, of the structural rule or the user's own, checked against the layers that exist."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loretta_core.errors import MethodError
from loretta_core.methods.table import METHODS
from loretta_core.sites import ARCHITECTURES, ATTACHMENTS, DECODERS, Sites, candidate_names, matching
from loretta_core.structure import Linear, structural_sites


def attached_methods() -> list[str]:
    """Return the names of the methods that attach to layers, sorted by their kind of attachment."""
    return [name for kind in ATTACHMENTS for name, method in METHODS.items() if method.attachment == kind]


def known_sites(model_type: str, method: str, *, linears: Sequence[Linear] = (), decoder: bool | None = None) -> Sites:
    """Return the layers that `method` changes: by the architecture's table, else by the structural rule over all `linears` of the model, or none.

    Args:
        model_type: its name in a Hugging Face config.
        decoder: whether the model reads from left to right only; None: as the list of decoders says.
    """
    attachment = METHODS[method].attachment
    if attachment is None:
        return Sites()
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type].sites(attachment)
    return structural_sites(linears, decoder=model_type in DECODERS if decoder is None else decoder).sites(attachment)


def sites_for(model_type: str, method: str, *, linears: Sequence[Linear] = (), decoder: bool | None = None) -> Sites:
    """Return `known_sites`. Raises MethodError where there are none."""
    if METHODS[method].attachment is None:
        raise MethodError(f"method {method!r} attaches to no sites; methods that do: {', '.join(attached_methods())}")
    sites = known_sites(model_type, method, linears=linears, decoder=decoder)
    if not sites.names:
        names = ", ".join(candidate_names([linear.path for linear in linears])) or "none"
        raise MethodError(
            f"{method}: no attention or feed-forward block was found in a model of the type {model_type!r}, which has no entry in the table of sites; "
            f"set `target_modules` to some of its linear layers: {names}"
        )
    return sites


def input_side_names(targets: Collection[str], *, sites: Sites) -> tuple[str, ...]:
    """Return those of a user's own `targets` that the known `sites` put on the input, as `fc1` in OPT for adapters."""
    return tuple(sorted(target for target in targets if any(target == name or target.endswith(f".{name}") for name in sites.input)))


def is_on_input(linear: Linear, *, sites: Sites, method: str) -> bool:
    """Return whether `method` changes a linear layer on its input: as the known `sites` say, and for a layer that is none of them by its widths.

    Adapters sit on the side of the hidden width. A layer that widens leads into the feed-forward block, so that is its input; of one that narrows (out of the
    block) or keeps the width (attention) it is the output.
    """
    for names, on_input in ((sites.input, True), (sites.output, False)):
        if any(matching([linear.path], target=name) for name in names):
            return on_input
    return METHODS[method].attachment == "adapters" and linear.in_features < linear.out_features


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


def resolve_targets(targets: Collection[str] | None, *, linears: Sequence[Linear], method: str, model_type: str, decoder: bool | None = None) -> list[str]:
    """Return the names to attach to: `targets`, or the architecture's own sites for None.

    Every name must match at least one linear layer; otherwise, and where no sites are known, MethodError lists the names that exist.
    """
    if targets is None:
        targets = sites_for(model_type, method, linears=linears, decoder=decoder).names
    paths = [linear.path for linear in linears]
    unmatched = [target for target in targets if not matching(paths, target=target)]
    if unmatched:
        names = ", ".join(candidate_names(paths)) or "none"
        raise MethodError(f"{method}: target_modules={list(targets)}: {unmatched} matched no Linear in {model_type}; names there: {names}")
    return list(targets)
