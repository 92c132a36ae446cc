"""The mode lists of the paper and of its authors' code, for `shape = "paper"`. Standard library only.

Sources: LoRETTA (arXiv 2402.11417), table 10, and where that has no entry the tables of the authors' code. Two departures. The printed 0.51 M parameters of
LLaMA-2-7B loretta_rep come from 16,16,8,4,4 for 4096 x 8 and not from table 10's 8,8,8,8,8. And nine lists of the authors' code are missing here, because
they do not multiply to the size of their matrix (all of bottleneck 32 but 768 and 2304; 2304 x 64; the 5120 x 5120 classifier).

A list belongs to the narrowing direction h -> b; the widening one takes it reversed, as in the paper. A list that only splits at b, as 8,8,8,4,9 for
8 -> 2304, is therefore written reversed. Many lists split at neither width; their cores can only be rebuilt to a matrix, not contracted.
"""

from __future__ import annotations

from loretta_core.errors import MethodError

NARROWING_MODES: dict[int, dict[int, tuple[int, ...]]] = {
    768: {
        5: (8, 12, 8, 5),
        8: (8, 8, 12, 8),
        16: (8, 8, 12, 4, 4),
        32: (8, 8, 12, 8, 4),
        64: (8, 8, 12, 8, 8),
        128: (8, 8, 12, 16, 8),
    },
    1024: {5: (4, 8, 5, 8, 4), 8: (4, 8, 8, 8, 4), 16: (4, 8, 16, 8, 4), 64: (4, 8, 8, 8, 8, 4), 128: (4, 8, 16, 8, 8, 4)},
    1280: {5: (4, 8, 5, 8, 5), 8: (4, 8, 8, 8, 5), 16: (4, 8, 16, 8, 5), 64: (4, 8, 8, 8, 8, 5), 128: (4, 8, 16, 8, 8, 5)},
    1536: {5: (4, 8, 5, 8, 6), 8: (4, 8, 8, 8, 6), 16: (4, 8, 16, 8, 6), 64: (4, 8, 8, 8, 8, 6), 128: (4, 8, 16, 8, 8, 6)},
    1600: {5: (5, 8, 5, 8, 5), 8: (5, 8, 8, 8, 5), 16: (5, 8, 16, 8, 5), 64: (5, 8, 8, 8, 8, 5), 128: (5, 8, 16, 8, 8, 5)},
    2304: {5: (9, 4, 8, 8, 5), 8: (9, 4, 8, 8, 8), 16: (8, 8, 8, 8, 9), 32: (8, 8, 16, 8, 9)},
    4096: {
        5: (16, 16, 5, 4, 4),
        8: (16, 16, 8, 4, 4),
        16: (8, 8, 8, 8, 4, 4),
        32: (8, 8, 8, 8, 8, 4),
        64: (16, 16, 16, 4, 4, 4),
        128: (16, 16, 16, 8, 4, 4),
    },
    5120: {5: (8, 8, 10, 8, 5), 8: (8, 8, 10, 8, 8), 16: (8, 16, 10, 8, 8), 64: (5, 8, 8, 16, 8, 8), 128: (5, 8, 16, 16, 8, 8)},
    8192: {5: (4, 16, 16, 10, 4), 8: (4, 16, 16, 16, 4), 16: (4, 16, 16, 16, 8), 64: (4, 8, 16, 16, 16, 4), 128: (4, 16, 16, 16, 16, 4)},
}
"""Width -> bottleneck -> modes."""

SQUARE_MODES: dict[int, tuple[int, ...]] = {
    768: (12, 8, 8, 8, 8, 12),
    1024: (4, 8, 8, 16, 8, 8, 4),
    1280: (4, 4, 8, 8, 8, 8, 5, 5),
    1536: (6, 8, 8, 16, 8, 8, 6),
    1600: (5, 5, 8, 8, 8, 8, 5, 5),
    2304: (4, 4, 8, 8, 8, 8, 9, 9),
    4096: (4, 4, 16, 16, 16, 16, 4, 4),
    8192: (4, 4, 16, 16, 16, 16, 8, 8),
}
"""Width -> modes of the tensorized layer of a classification head."""


def paper_modes(in_features: int, out_features: int) -> tuple[int, ...]:
    """Return the printed modes of an in x out matrix. Raises MethodError for a size that has no list."""
    narrow, wide = sorted((in_features, out_features))
    if narrow == wide and wide in SQUARE_MODES:
        return SQUARE_MODES[wide]
    if narrow in NARROWING_MODES.get(wide, {}):
        modes = NARROWING_MODES[wide][narrow]
        return modes if in_features == wide else modes[::-1]
    raise MethodError(f"shape = 'paper': the paper and its code have no modes for {in_features} x {out_features}; {_known(narrow, wide)}. Take shape = 'auto'")


def _known(narrow: int, wide: int) -> str:
    if wide in NARROWING_MODES:
        return f"bottlenecks of width {wide}: {', '.join(map(str, NARROWING_MODES[wide]))}"
    return f"widths: {', '.join(map(str, NARROWING_MODES))}"
