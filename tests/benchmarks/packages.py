"""Tensor-train layers from PyPI, where they are importable; neither is a dependency of ours.

loretta         the authors' package (its cores always rebuild the matrix)
tensorly-torch  block tensor trains: one core per pair of an input and an output mode
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

MakeLayer = Callable[[int, int, int], Any]
"""(in_features, out_features, rank) → a module"""

PAIRED_MODES = {4096: (16, 16, 16), 768: (8, 8, 12), 64: (4, 4, 4)}
SHAPES = {4096: [16, 16, 16, 4, 4, 4], 768: [8, 8, 12, 8, 8]}


def _loretta(in_features: int, out_features: int, rank: int) -> Any:
    from loretta.tensor_layers.layers import TensorizedLinear_module

    modes = SHAPES[max(in_features, out_features)]
    config = SimpleNamespace(shape=modes if in_features > out_features else modes[::-1], ranks=rank, set_scale_factors=False)
    return TensorizedLinear_module(in_features, out_features, config)


def _tensorly(in_features: int, out_features: int, rank: int) -> Any:
    from tltorch import FactorizedLinear

    return FactorizedLinear(PAIRED_MODES[in_features], PAIRED_MODES[out_features], bias=True, factorization="blocktt", rank=rank, implementation="factorized")


PACKAGES: dict[str, MakeLayer | None] = {
    "loretta": _loretta if find_spec("loretta") else None,
    "tensorly-torch": _tensorly if find_spec("tltorch") else None,
}
