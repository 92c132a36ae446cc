"""Names in adapter files of earlier versions: trained norms were called `….trainable_norm.weight`, without the prefix of their tuner."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def with_prefixed_norms(state: Mapping[str, Tensor], *, prefix: str) -> dict[str, Tensor]:
    """Return a stored state under the names that a tuner with this prefix writes today; today's names stay."""
    return {key.replace(".trainable_norm.", f".{prefix}norm."): value for key, value in state.items()}
