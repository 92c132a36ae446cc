"""Which failures are worth another attempt, by their class. What a cell says or computes (config, nan, error) would come out the same again.

infrastructure    once more, as it is: its process was killed or lost
preempted         always, as it is: its machine was taken away, for which the cell can do nothing
memory            in twice as many pieces, until a piece is one row: the same global batch, half the activations
"""

from __future__ import annotations

from jobs.failures.outcome import PREEMPTED
from loretta_core.config import CellConfig

MOST_LOSSES = 2
"""A cell that takes its process down so often would go on killing them."""


def again(cell_json: str, *, kind: str, failures: int) -> str | None:
    """The cell as it should be tried again, or None.

    Args:
        kind: class of the failure.
        failures: how often the cell has failed in this way, this time included.
    """
    if kind == PREEMPTED:
        return cell_json
    if kind == "infrastructure":
        return cell_json if failures < MOST_LOSSES else None
    return in_smaller_pieces(cell_json) if kind == "memory" else None


def in_smaller_pieces(cell_json: str) -> str | None:
    """With twice the gradient accumulation; None if that is impossible. It is placement: neither the cell's id nor, but for rounding, its result changes."""
    cell = CellConfig.from_json(cell_json)
    pieces = 2 * cell.engine.gradient_accumulation
    rows = cell.batch_size // cell.engine.rows_in_parts
    if rows % pieces:
        return None
    return cell.model_copy(update={"engine": cell.engine.model_copy(update={"gradient_accumulation": pieces})}).to_json()


def remark(kinds: list[str]) -> str:
    """What to say of a cell that ended well at last."""
    halvings = kinds.count("memory")
    return f"after running out of memory: in {2**halvings} times as many pieces" if halvings else ""
